package balance_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/balance"
)

func TestLeastTakesTheLeastLoaded(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name          string
		loads, shares []float64
	}{
		{"least first", []float64{1, 2, 3}, []float64{1, 0, 0}},
		{"least in the middle", []float64{2, 1, 3}, []float64{0, 1, 0}},
		{"least last", []float64{3, 2, 1}, []float64{0, 0, 1}},
		{"a tie that is undercut", []float64{30, 30, 20, 20, 10}, []float64{0, 0, 0, 0, 1}},
		{"a tie that is undercut by a tie", []float64{30, 30, 30, 20, 20}, []float64{0, 0, 0, 1, 1}},
		{"a tie behind a higher one", []float64{30, 20, 30, 20}, []float64{0, 1, 0, 1}},
		{"all equal", []float64{7, 7, 7, 7, 7}, equal(5)},
		{"negative is lower", []float64{0, -1}, []float64{0, 1}},
		{"NaN loses in front", []float64{nan, 2, 1}, []float64{0, 0, 1}},
		{"NaN loses behind", []float64{1, nan}, []float64{1, 0}},
		{"NaN counts as infinite", []float64{nan, inf, nan}, equal(3)},
		{"least of all", []float64{nan, math.Inf(-1), 0}, []float64{0, 1, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ts := targets(len(test.loads))
			for i := range ts {
				ts[i].load = test.loads[i]
			}
			requireShares(t, test.shares, tally(t, balance.Least(loadOf), ts, 5000))
		})
	}
}

func TestLeastLevelsLoads(t *testing.T) {
	t.Parallel()
	p, ts := balance.Least(loadOf), targets(16)
	for range 16 * 100 {
		pick(t, p, nil, ts).load++
	}
	for _, target := range ts {
		require.EqualValues(t, 100, target.load)
	}
}
