"""The functions that SQL of others may call, by ClickHouse's names.

What is not listed is refused. Listed is what computes from its arguments alone, and in time that its arguments bound: nothing
that reads a file, a dictionary, a setting, another table or another host, that waits, or that compares all with all.
"""

from __future__ import annotations

from collections.abc import Mapping

FUNCTIONS: Mapping[str, str] = {
    "aggregates": """
        count sum avg min max any anyLast argMin argMax uniq uniqExact uniqCombined uniqHLL12 median quantile quantiles
        quantileExact quantilesExact quantileTDigest quantilesTDigest quantileTiming quantilesTiming quantileDeterministic
        sumKahan sumWithOverflow avgWeighted stddevPop stddevSamp varPop varSamp covarPop covarSamp corr
        skewPop skewSamp kurtPop kurtSamp groupArray groupUniqArray groupArraySorted topK topKWeighted entropy
        simpleLinearRegression deltaSum deltaSumTimestamp groupBitAnd groupBitOr groupBitXor
        """,
    "window functions": "row_number rank dense_rank first_value last_value nth_value ntile lagInFrame leadInFrame lag lead",
    "conditions": """
        if multiIf coalesce ifNull nullIf isNull isNotNull isNaN isFinite isInfinite assumeNotNull toNullable
        greatest least and or not xor equals notEquals less greater lessOrEquals greaterOrEquals
        """,
    "numbers": """
        plus minus multiply divide intDiv intDivOrZero modulo negate abs sign round floor ceil trunc roundBankers sqrt cbrt
        exp exp2 exp10 log log2 log10 pow power sin cos tan asin acos atan atan2 pi e bitAnd bitOr bitXor bitNot bitShiftLeft
        bitShiftRight bitTest bitCount widthBucket runningDifference
        """,
    "text": """
        concat lower upper lowerUTF8 upperUTF8 length lengthUTF8 empty notEmpty substring substr substringUTF8 left right trim
        trimLeft trimRight trimBoth ltrim rtrim startsWith endsWith position positionUTF8 positionCaseInsensitive locate like
        notLike ilike notILike match extract extractAll extractGroups replaceOne replaceAll replace replaceRegexpOne
        replaceRegexpAll splitByChar splitByString splitByNonAlpha splitByWhitespace arrayStringConcat hasToken
        hasTokenCaseInsensitive countSubstrings multiSearchAny reverse reverseUTF8 leftPad rightPad ascii char
        format formatReadableSize formatReadableQuantity formatReadableTimeDelta hex unhex base64Encode base64Decode
        cityHash64 xxHash64 sipHash64 MD5 SHA1 SHA256 toValidUTF8 domain path cutQueryString extractURLParameter
        """,
    "times": """
        now now64 today yesterday toDate toDateTime toDateTime64 toUnixTimestamp toUnixTimestamp64Milli toUnixTimestamp64Micro
        toUnixTimestamp64Nano fromUnixTimestamp fromUnixTimestamp64Milli fromUnixTimestamp64Micro fromUnixTimestamp64Nano
        toTimeZone toStartOfSecond toStartOfMinute toStartOfFiveMinutes toStartOfTenMinutes toStartOfFifteenMinutes toStartOfHour
        toStartOfDay toStartOfWeek toStartOfMonth toStartOfQuarter toStartOfYear toStartOfInterval toMonday toYear toQuarter
        toMonth toDayOfMonth toDayOfWeek toDayOfYear toHour toMinute toSecond toISOWeek toYYYYMM toYYYYMMDD date_trunc dateTrunc
        dateDiff date_diff dateAdd date_add dateSub date_sub addSeconds addMinutes addHours addDays addWeeks addMonths
        subtractSeconds subtractMinutes subtractHours subtractDays subtractWeeks subtractMonths toIntervalNanosecond
        toIntervalMicrosecond toIntervalMillisecond toIntervalSecond toIntervalMinute toIntervalHour toIntervalDay toIntervalWeek
        toIntervalMonth toIntervalQuarter toIntervalYear formatDateTime parseDateTimeBestEffort parseDateTimeBestEffortOrNull
        parseDateTime64BestEffort timeSlot age
        """,
    "conversions": """
        CAST toString toFixedString toUInt8 toUInt16 toUInt32 toUInt64 toInt8 toInt16 toInt32 toInt64
        toFloat32 toFloat64 toBool toUInt64OrZero toUInt64OrNull toInt64OrZero toInt64OrNull toFloat64OrZero toFloat64OrNull
        toDateOrNull toDateTimeOrNull toDecimal32 toDecimal64 toUUID toUUIDOrNull toIPv4OrNull toTypeName
        toJSONString JSONExtractString JSONExtractInt JSONExtractUInt JSONExtractFloat JSONExtractBool JSONExtractRaw JSONHas
        JSONLength JSONType JSONExtractKeys JSONExtractArrayRaw isValidJSON
        """,
    "arrays, maps and tuples": """
        array arrayElement arrayMap arrayFilter arrayExists arrayAll arrayCount arrayFirst arrayFirstIndex arrayLast arraySum
        arrayAvg arrayMin arrayMax arraySort arrayReverseSort arrayReverse arrayDistinct arrayUniq arrayConcat arraySlice
        arrayPushBack arrayPushFront arrayPopBack arrayPopFront arrayJoin arrayZip arrayEnumerate arrayCumSum arrayDifference
        arrayFlatten has indexOf countEqual range length empty notEmpty
        map mapKeys mapValues mapContains mapFromArrays mapFilter mapApply mapAdd mapSubtract
        tuple tupleElement
        """,
}

# What may follow the name of an aggregate: sumIf, quantilesTDigestMerge, uniqExactIf, …
COMBINATORS = (
    "If",
    "Merge",
    "OrNull",
    "OrDefault",
    "Distinct",
    "Array",
    "ArgMin",
    "ArgMax",
    "ForEach",
    "Map",
    "MergeIf",
)


# Of functions that may be told a time zone, how many arguments come before it (and before formats and precisions).
_BEFORE_THE_ZONE: Mapping[str, int] = {
    "now": 0, "now64": 0, "dateDiff": 3, "date_diff": 3, "age": 3, "date_trunc": 2, "dateTrunc": 2, "dateAdd": 3, "date_add": 3,
    "dateSub": 3, "date_sub": 3, **dict.fromkeys((f"{what}{unit}" for what in ("add", "subtract") for unit in
    ("Seconds", "Minutes", "Hours", "Days", "Weeks", "Months")), 2),
}  # fmt: skip
ZONED: Mapping[str, int] = {
    name.casefold(): _BEFORE_THE_ZONE.get(name, 1)
    for name in (*FUNCTIONS["times"].split(), "toString", "toDateOrNull", "toDateTimeOrNull")
}


def _allowed() -> frozenset[str]:
    names = {name for group in FUNCTIONS.values() for name in group.split()}
    combined = {f"{name}{suffix}" for name in FUNCTIONS["aggregates"].split() for suffix in COMBINATORS}
    # Some have no case in ClickHouse (COUNT, Sum); no two functions differ by case alone.
    return frozenset(name.casefold() for name in names | combined)


_ALLOWED = _allowed()


def is_allowed(name: str) -> bool:
    """Whether SQL of others may call `name`."""
    return name.casefold() in _ALLOWED


def named() -> list[str]:
    """All names, without those of combinators, as a person writes them."""
    return sorted({name for group in FUNCTIONS.values() for name in group.split()}, key=str.casefold)
