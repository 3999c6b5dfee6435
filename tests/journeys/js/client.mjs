// Sends one trace, a counter, an exponential histogram and one log record with the plain OpenTelemetry SDK, to the endpoint in argv[2].
import { SpanStatusCode } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const endpoint = process.argv[2];
const resource = resourceFromAttributes({
  'service.name': 'js-shop',
  'service.instance.id': 'js-1',
  'process.command_args': process.argv,
});

const tracing = new NodeTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${endpoint}/v1/traces` }))],
});
const metering = new MeterProvider({
  resource,
  views: [{ instrumentName: 'order.value', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  readers: [
    new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: `${endpoint}/v1/metrics` }),
      exportIntervalMillis: 60_000,
    }),
  ],
});
const logging = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: `${endpoint}/v1/logs` }) })],
});

const tracer = tracing.getTracer('shop');
const parent = tracer.startSpan('checkout');
parent.setAttribute('cart.items', 3);
parent.setStatus({ code: SpanStatusCode.ERROR, message: 'card declined' });
parent.end();

const placed = metering.getMeter('shop').createCounter('orders.placed', { unit: '{order}' });
const value = metering.getMeter('shop').createHistogram('order.value');
for (const orders of [2, 3]) {
  placed.add(orders, { region: 'eu' });
  value.record(10 ** orders);
  await metering.forceFlush();
}
logging.getLogger('shop').emit({
  severityNumber: SeverityNumber.ERROR,
  body: { event: 'declined', attempt: 2 },
});

await Promise.all([tracing.forceFlush(), metering.forceFlush(), logging.forceFlush()]);
await Promise.all([tracing.shutdown(), metering.shutdown(), logging.shutdown()]);
console.log(parent.spanContext().traceId);
