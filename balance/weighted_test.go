package balance_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/balance"
)

// A picker that draws at random is off by about 100 after this many picks.
func TestWeightedStaysWithinAFewPicksOfTheExactShare(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name            string
		weights, shares []float64
	}{
		{"one heavy, some light", []float64{5, 3, 1, 1}, []float64{5, 3, 1, 1}},
		{"the order of weights does not matter", []float64{1, 1, 3, 5}, []float64{1, 1, 3, 5}},
		{"equal", []float64{7, 7, 7}, []float64{1, 1, 1}},
		{"fractions", []float64{0.125, 0.25, 0.625}, []float64{1, 2, 5}},
		{"very uneven", []float64{10000, 1}, []float64{10000, 1}},
		{"very small", []float64{1e-300, 3e-300}, []float64{1, 3}},
		{"as large as can be", slices.Repeat([]float64{1e300}, 20), equal(20)},
		{"zero is never picked", []float64{0, 1, 0, 2, 0}, []float64{0, 1, 0, 2, 0}},
		{"what is no weight is never picked", []float64{-1, nan, 1, inf, 1, -inf, 1.1e300}, []float64{0, 0, 1, 0, 1, 0, 0}},
		{"evenly if all are zero", []float64{0, 0, 0}, []float64{1, 1, 1}},
		{"evenly if none is a weight", []float64{-1, nan, inf, -inf, math.MaxFloat64}, equal(5)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			candidates := make([]int, len(test.weights))
			var whole float64
			for i := range candidates {
				candidates[i] = i
				whole += test.shares[i]
			}
			p := balance.Weighted(func(i int) float64 { return test.weights[i] })
			counts := make([]float64, len(candidates))
			for n := 1.0; n <= 50_000; n++ {
				counts[pick(t, p, nil, candidates)]++
				for i, share := range test.shares {
					if off := math.Abs(counts[i] - n*share/whole); off > 5 || share == 0 && off > 0 {
						require.Failf(t, "uneven", "candidate %d off by %v after %v picks: %v", i, off, n, counts)
					}
				}
			}
		})
	}
}

// The two pools see every other pick each; the one that is asked about every
// fifth time only is no less even.
func TestWeightedIsEvenInAnyRhythm(t *testing.T) {
	long(t)
	t.Parallel()
	for rhythm := 2; rhythm < 10; rhythm++ {
		p := balance.Weighted(weightOf)
		ts := []*target{{weight: 1}, {weight: 2}, {weight: 1}}
		counts := make([]float64, len(ts))
		for i := range 4000 * rhythm {
			got := pick(t, p, nil, ts)
			if i%rhythm == 0 {
				counts[slices.Index(ts, got)]++
			}
		}
		require.InDeltaSlice(t, []float64{1000, 2000, 1000}, counts, 20, "every %dth pick", rhythm)
	}
}

func TestWeightedFollowsWeightsAndCandidates(t *testing.T) {
	t.Parallel()
	p, ts := balance.Weighted(weightOf), targets(3)
	require.InDeltaSlice(t, []float64{300, 300, 300}, tally(t, p, ts, 900), 5)
	ts[1].weight = 4
	require.InDeltaSlice(t, []float64{150, 600, 150}, tally(t, p, ts, 900), 5)
	require.InDeltaSlice(t, []float64{720, 180}, tally(t, p, ts[1:], 900), 5)
}

// A weight may drop between the two times that it is asked for: the second
// time all are a tenth of what they were.
func TestWeightedSurvivesWeightsThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	candidates := []int{0, 1, 2, 0}
	calls := 0
	p := balance.Weighted(func(i int) float64 {
		if calls++; calls <= len(candidates) {
			return float64(i)
		}
		return float64(i) / 10
	})
	for range 1000 {
		calls = 0
		require.NotZero(t, pick(t, p, nil, candidates), "a candidate without weight")
		require.LessOrEqual(t, calls, 2*len(candidates))
	}
}
