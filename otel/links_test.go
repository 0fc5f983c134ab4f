package otel_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/latchkey-go/latchkey/otel"
)

// The counter counts links by the name of their key.
func TestLinkKeys(t *testing.T) {
	reader := metric.NewManualReader()
	used, err := otel.LinkKeys(metric.NewMeterProvider(metric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	used("2026-a")
	used("2026-b")
	used("2026-b")
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for _, m := range all.ScopeMetrics[0].Metrics {
		for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
			key, _ := p.Attributes.Value("key")
			got[m.Name+" "+key.AsString()] = p.Value
		}
	}
	if len(got) != 2 || got["latchkey.links 2026-a"] != 1 || got["latchkey.links 2026-b"] != 2 {
		t.Errorf("the counters are %v", got)
	}
}
