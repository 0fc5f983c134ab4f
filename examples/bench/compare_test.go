package bench

import (
	"math"
	"slices"
	"testing"
	"time"
)

// compare takes rounds of both, alternately, so that a machine that drifts
// affects both alike. It takes at least minTurns, and goes on for budget. It
// reports n per second of ours, and the ratio of the times as the metric: the
// median over the turns, and the ends of its 90 % interval with -low and -high
// after the name.
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
	b.ReportMetric(0, "ns/op") // what is timed is in the rounds
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

// interval90 returns the interval that has the median of what was sampled with a
// probability of 90 %, by the normal approximation of the binomial distribution
// of ranks.
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

// quantile returns the time that the share q of the sample is not over.
func quantile(sample []time.Duration, q float64) time.Duration {
	slices.Sort(sample)
	return sample[int(q*float64(len(sample)-1))]
}
