-- 
true
-- {}

-- document
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])document(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- documents
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])documents(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- POST
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])POST(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- docu*
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?i)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])docu[0-9A-Za-z\\x{80}-\\x{10FFFF}]*(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- "timed out"
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])timed out(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- "out of" -service:api
((match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String})) AND NOT spans.service = {s1:String})
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])out of(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)', 's1': 'api'}

-- /[Mm]odel$/
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '[Mm]odel$'}

-- café
(match(spans.name, {s0:String}) OR match(spans.status_message, {s0:String}))
-- {'s0': '(?is)(?:^|[^0-9A-Za-z\\x{80}-\\x{10FFFF}])café(?:[^0-9A-Za-z\\x{80}-\\x{10FFFF}]|$)'}

-- service:worker
spans.service = {s0:String}
-- {'s0': 'worker'}

-- service:wor*
ifNull(match(toString(spans.service), {s0:String}), false)
-- {'s0': '(?s)^wor.*$'}

-- service:o'brien
spans.service = {s0:String}
-- {'s0': "o'brien"}

-- service:/^[ao]/
ifNull(match(toString(spans.service), {s0:String}), false)
-- {'s0': '^[ao]'}

-- name:call\ model
spans.name = {s0:String}
-- {'s0': 'call model'}

-- operation:"GET /health"
spans.name = {s0:String}
-- {'s0': 'GET /health'}

-- name:GET*
ifNull(match(toString(spans.name), {s0:String}), false)
-- {'s0': '(?s)^GET.*$'}

-- kind:server
spans.kind = {s0:String}
-- {'s0': 'server'}

-- kind:(client OR producer)
(spans.kind = {s0:String} OR spans.kind = {s1:String})
-- {'s0': 'client', 's1': 'producer'}

-- -span.kind:server
NOT spans.kind = {s0:String}
-- {'s0': 'server'}

-- status:error
spans.status = {s0:String}
-- {'s0': 'error'}

-- status:OK
spans.status = {s0:String}
-- {'s0': 'ok'}

-- status_message:*patience
ifNull(match(toString(spans.status_message), {s0:String}), false)
-- {'s0': '(?s)^.*patience$'}

-- _exists_:status_message
notEmpty(toString(spans.status_message))
-- {}

-- duration:>2.4s
(spans.duration_ns > {s0:Int64})
-- {'s0': 2400000000}

-- duration:>=2.4s
(spans.duration_ns >= {s0:Int64})
-- {'s0': 2400000000}

-- duration:[100ms TO 1s]
(spans.duration_ns >= {s0:Int64} AND spans.duration_ns <= {s1:Int64})
-- {'s0': 100000000, 's1': 1000000000}

-- duration:<1ms
(spans.duration_ns < {s0:Int64})
-- {'s0': 1000000}

-- duration:250µs
spans.duration_ns = {s0:Int64}
-- {'s0': 250000}

-- duration:>1s OR status:error
((spans.duration_ns > {s0:Int64}) OR spans.status = {s1:String})
-- {'s0': 1000000000, 's1': 'error'}

-- trace_id:01010101010101010101010101010101
spans.trace_id = toFixedString(unhex({s0:String}), 16)
-- {'s0': '01010101010101010101010101010101'}

-- trace_id:zz
false
-- {}

-- span_id:0202020202020202
spans.span_id = toFixedString(unhex({s0:String}), 8)
-- {'s0': '0202020202020202'}

-- -_exists_:parent_span_id
NOT notEmpty(if(spans.parent_span_id = toFixedString('', 8), '', lower(hex(spans.parent_span_id))))
-- {}

-- scope:tests
spans.scope_name = {s0:String}
-- {'s0': 'tests'}

-- http.status_code:500
if(mapContains(spans.attributes, {s2:String}), ifNull(spans.attributes[{s2:String}] = {s0:String} OR toFloat64OrNull(spans.attributes[{s2:String}]) = {s1:Float64}, false), (JSONHas(spans.resource_json, {s2:String}) AND ifNull(JSONExtractString(spans.resource_json, {s2:String}) = {s0:String} OR toFloat64OrNull(JSONExtractString(spans.resource_json, {s2:String})) = {s1:Float64}, false)))
-- {'s0': '500', 's1': 500.0, 's2': 'http.status_code'}

-- http.status_code:>=500
(if(mapContains(spans.attributes, {s1:String}), ifNull(toFloat64OrNull(spans.attributes[{s1:String}]) >= {s0:Float64}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(toFloat64OrNull(JSONExtractString(spans.resource_json, {s1:String})) >= {s0:Float64}, false))))
-- {'s0': 500.0, 's1': 'http.status_code'}

-- http.status_code:[500 TO 503]
(if(mapContains(spans.attributes, {s1:String}), ifNull(toFloat64OrNull(spans.attributes[{s1:String}]) >= {s0:Float64}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(toFloat64OrNull(JSONExtractString(spans.resource_json, {s1:String})) >= {s0:Float64}, false))) AND if(mapContains(spans.attributes, {s3:String}), ifNull(toFloat64OrNull(spans.attributes[{s3:String}]) <= {s2:Float64}, false), (JSONHas(spans.resource_json, {s3:String}) AND ifNull(toFloat64OrNull(JSONExtractString(spans.resource_json, {s3:String})) <= {s2:Float64}, false))))
-- {'s0': 500.0, 's1': 'http.status_code', 's2': 503.0, 's3': 'http.status_code'}

-- order:12345678901234567
if(mapContains(spans.attributes, {s2:String}), ifNull(spans.attributes[{s2:String}] = {s0:String} OR toInt128OrNull(spans.attributes[{s2:String}]) = {s1:Int128}, false), (JSONHas(spans.resource_json, {s2:String}) AND ifNull(JSONExtractString(spans.resource_json, {s2:String}) = {s0:String} OR toInt128OrNull(JSONExtractString(spans.resource_json, {s2:String})) = {s1:Int128}, false)))
-- {'s0': '12345678901234567', 's1': 12345678901234567, 's2': 'order'}

-- order:12345678901234568
if(mapContains(spans.attributes, {s2:String}), ifNull(spans.attributes[{s2:String}] = {s0:String} OR toInt128OrNull(spans.attributes[{s2:String}]) = {s1:Int128}, false), (JSONHas(spans.resource_json, {s2:String}) AND ifNull(JSONExtractString(spans.resource_json, {s2:String}) = {s0:String} OR toInt128OrNull(JSONExtractString(spans.resource_json, {s2:String})) = {s1:Int128}, false)))
-- {'s0': '12345678901234568', 's1': 12345678901234568, 's2': 'order'}

-- order:>12345678901234566
(if(mapContains(spans.attributes, {s1:String}), ifNull(toInt128OrNull(spans.attributes[{s1:String}]) > {s0:Int128}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(toInt128OrNull(JSONExtractString(spans.resource_json, {s1:String})) > {s0:Int128}, false))))
-- {'s0': 12345678901234566, 's1': 'order'}

-- wait:<0.3
(if(mapContains(spans.attributes, {s1:String}), ifNull(toFloat64OrNull(spans.attributes[{s1:String}]) < {s0:Float64}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(toFloat64OrNull(JSONExtractString(spans.resource_json, {s1:String})) < {s0:Float64}, false))))
-- {'s0': 0.3, 's1': 'wait'}

-- wait:0.250
if(mapContains(spans.attributes, {s2:String}), ifNull(spans.attributes[{s2:String}] = {s0:String} OR toFloat64OrNull(spans.attributes[{s2:String}]) = {s1:Float64}, false), (JSONHas(spans.resource_json, {s2:String}) AND ifNull(JSONExtractString(spans.resource_json, {s2:String}) = {s0:String} OR toFloat64OrNull(JSONExtractString(spans.resource_json, {s2:String})) = {s1:Float64}, false)))
-- {'s0': '0.250', 's1': 0.25, 's2': 'wait'}

-- flag:true
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'true', 's1': 'flag'}

-- user:ada
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'ada', 's1': 'user'}

-- attributes.user:a*
(mapContains(spans.attributes, {s1:String}) AND ifNull(match(spans.attributes[{s1:String}], {s0:String}), false))
-- {'s0': '(?s)^a.*$', 's1': 'user'}

-- -user:ada
NOT if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'ada', 's1': 'user'}

-- _exists_:http.status_code
if(mapContains(spans.attributes, {s0:String}), true, (JSONHas(spans.resource_json, {s0:String}) AND true))
-- {'s0': 'http.status_code'}

-- empty:*
if(mapContains(spans.attributes, {s0:String}), true, (JSONHas(spans.resource_json, {s0:String}) AND true))
-- {'s0': 'empty'}

-- empty:""
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': '', 's1': 'empty'}

-- user:""
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': '', 's1': 'user'}

-- gen_ai.request.model:gpt-4
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'gpt-4', 's1': 'gen_ai.request.model'}

-- gen_ai.request.model:/^gpt/
if(mapContains(spans.attributes, {s1:String}), ifNull(match(spans.attributes[{s1:String}], {s0:String}), false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(match(JSONExtractString(spans.resource_json, {s1:String}), {s0:String}), false)))
-- {'s0': '^gpt', 's1': 'gen_ai.request.model'}

-- host.name:h1
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'h1', 's1': 'host.name'}

-- host.name:mine
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'mine', 's1': 'host.name'}

-- resource.host.name:h1
(JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false))
-- {'s0': 'h1', 's1': 'host.name'}

-- attributes.host.name:h1
(mapContains(spans.attributes, {s1:String}) AND ifNull(spans.attributes[{s1:String}] = {s0:String}, false))
-- {'s0': 'h1', 's1': 'host.name'}

-- scope.lane:fast
(JSONHas(spans.scope_json, {s1:String}) AND ifNull(JSONExtractString(spans.scope_json, {s1:String}) = {s0:String}, false))
-- {'s0': 'fast', 's1': 'lane'}

-- event:exception
arrayExists(name -> ifNull(name = {s0:String}, false), spans.event_name)
-- {'s0': 'exception'}

-- event:re*
arrayExists(name -> ifNull(match(name, {s0:String}), false), spans.event_name)
-- {'s0': '(?s)^re.*$'}

-- -event:retry
NOT arrayExists(name -> ifNull(name = {s0:String}, false), spans.event_name)
-- {'s0': 'retry'}

-- _exists_:event
arrayExists(name -> true, spans.event_name)
-- {}

-- event.exception.type:TimeoutError
arrayExists(event -> mapContains(event, {s1:String}) AND ifNull(event[{s1:String}] = {s0:String}, false), spans.event_attributes)
-- {'s0': 'TimeoutError', 's1': 'exception.type'}

-- exception.type:Timeout*
(if(mapContains(spans.attributes, {s1:String}), ifNull(match(spans.attributes[{s1:String}], {s0:String}), false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(match(JSONExtractString(spans.resource_json, {s1:String}), {s0:String}), false))) OR arrayExists(event -> mapContains(event, {s1:String}) AND ifNull(match(event[{s1:String}], {s0:String}), false), spans.event_attributes))
-- {'s0': '(?s)^Timeout.*$', 's1': 'exception.type'}

-- event.attempt:>2
(arrayExists(event -> mapContains(event, {s1:String}) AND ifNull(toFloat64OrNull(event[{s1:String}]) > {s0:Float64}, false), spans.event_attributes))
-- {'s0': 2.0, 's1': 'attempt'}

-- attempt:3
if(mapContains(spans.attributes, {s2:String}), ifNull(spans.attributes[{s2:String}] = {s0:String} OR toFloat64OrNull(spans.attributes[{s2:String}]) = {s1:Float64}, false), (JSONHas(spans.resource_json, {s2:String}) AND ifNull(JSONExtractString(spans.resource_json, {s2:String}) = {s0:String} OR toFloat64OrNull(JSONExtractString(spans.resource_json, {s2:String})) = {s1:Float64}, false)))
-- {'s0': '3', 's1': 3.0, 's2': 'attempt'}

-- timestamp:>=2027-01-15T08:00:03Z
(spans.start >= toDateTime64({s0:String}, 9, 'UTC'))
-- {'s0': '2027-01-15 08:00:03.000000'}

-- level:error
if(mapContains(spans.attributes, {s1:String}), ifNull(spans.attributes[{s1:String}] = {s0:String}, false), (JSONHas(spans.resource_json, {s1:String}) AND ifNull(JSONExtractString(spans.resource_json, {s1:String}) = {s0:String}, false)))
-- {'s0': 'error', 's1': 'level'}
