/** How many records fit, in time and by level; dragging over a part of it shows that part. */

import { useMemo } from "react";
import { type LogQuery, useLogHistogram } from "@/api/logs";
import { type Line, TimeSeries } from "@/charts/TimeSeries";
import { Nothing, Shown } from "@/components/states";
import { useTime } from "@/components/time";
import { type Bucket, courses, levelColour } from "@/model/logs";
import { absolute, type Span, stepFor } from "@/model/timerange";

export function Histogram({ wanted }: { wanted: LogQuery }) {
  const { span } = useTime();
  const step = stepFor(span, 80);
  return (
    <Shown of={useLogHistogram(wanted, span, step)} rows={3}>
      {(buckets) =>
        buckets.length === 0 ? (
          <Nothing title="No record matches">
            Look at a longer time, or ask less. Logs come in over OTLP, Elasticsearch's bulk API and syslog.
          </Nothing>
        ) : (
          <Bars buckets={buckets} span={span} step={step} />
        )
      }
    </Shown>
  );
}

function Bars({ buckets, span, step }: { buckets: readonly Bucket[]; span: Span; step: number }) {
  const { setRange, utc } = useTime();
  const { times, lines } = useMemo(() => {
    const found = courses(buckets, span, step);
    return { times: found.times.map((at) => at + step / 2), lines: [...found.rows].map(lineOf) };
  }, [buckets, span, step]);
  return (
    <TimeSeries
      times={times}
      lines={lines}
      span={span}
      height={110}
      unit="short"
      min={0}
      stacked
      utc={utc}
      label="records by level"
      onZoom={(part) => setRange(absolute(part))}
    />
  );
}

function lineOf([level, values]: readonly [string, readonly number[]]): Line {
  return { name: level, values, colour: levelColour(level), draw: "bars", fill: 0.85, width: 0 };
}
