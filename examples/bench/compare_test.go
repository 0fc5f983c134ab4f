package bench

import (
	"math"
	"slices"
	"testing"
	"time"
)

// compare runs rounds of bare and ours in turn, so that a change in the
// machine's speed affects both alike. compare runs at least minTurns rounds,
// and continues for budget. compare reports the rate of ours, as n per second.
// compare also reports, as the metric, the time of bare divided by the time of
// ours. The ratio is the median over the rounds; the limits of its 90 %
// interval have -low and -high after the name.
func compare(b *testing.B, budget time.Duration, n int, metric string, bare, ours func() time.Duration) {
	b.Helper()
	bare() // warms up
	ours()
	var ratios, rates []float64
	for b.Loop() {
		begun := time.Now()
		for turn := 0; turn < minTurns || time.Since(begun) < budget && turn < maxTurns; turn++ {
			var theirs, took time.Duration
			if turn%2 == 0 {
				theirs, took = bare(), ours()
			} else {
				took, theirs = ours(), bare()
			}
			ratios = append(ratios, theirs.Seconds()/took.Seconds())
			rates = append(rates, float64(n)/took.Seconds())
		}
	}
	b.ReportMetric(0, "ns/op") // the rounds report their own times
	b.ReportMetric(median(rates), "rate/s")
	reportRatio(b, metric, ratios)
}

const (
	minTurns = 7
	maxTurns = 61
)

// reportRatio reports the median of the ratios, and the 90 % interval of the
// median.
func reportRatio(b *testing.B, metric string, ratios []float64) {
	b.Helper()
	low, high := interval90(ratios)
	b.ReportMetric(median(ratios), metric)
	b.ReportMetric(low, metric+"-low")
	b.ReportMetric(high, metric+"-high")
}

// interval90 returns the interval that contains the median of the sampled
// quantity with a probability of 90 %. interval90 uses the normal approximation
// of the binomial distribution of ranks.
func interval90(sample []float64) (low, high float64) {
	slices.Sort(sample)
	n := float64(len(sample))
	rank := max(0, int(math.Floor((n-1.645*math.Sqrt(n))/2)))
	return sample[rank], sample[len(sample)-1-rank]
}

func median(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// quantile returns the time that the share q of the sample does not exceed.
func quantile(sample []time.Duration, q float64) time.Duration {
	slices.Sort(sample)
	return sample[int(q*float64(len(sample)-1))]
}
