package balance_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/exp/stats"

	"github.com/go-affinity/affinity/balance"
)

func TestPowerOfTwoComparesTwoDifferentCandidates(t *testing.T) {
	t.Parallel()
	var asked []int
	p := balance.PowerOfTwo(func(i int) float64 {
		asked = append(asked, i)
		return float64(-i)
	})
	candidates := []int{0, 1, 2, 3, 4}
	for range 2000 {
		asked = asked[:0]
		got := pick(t, p, nil, candidates)
		require.Len(t, asked, 2)
		require.NotEqual(t, asked[0], asked[1])
		require.Equal(t, slices.Max(asked), got, "the lower load is that of the larger number")
	}
}

// With loads 0 < 1 < ... the target of load i wins against n-1-i others.
func TestPowerOfTwoDrawsAllPairsAlike(t *testing.T) {
	t.Parallel()
	ts := targets(8)
	shares := make([]float64, len(ts))
	for i := range ts {
		ts[i].load = float64(i)
		shares[i] = float64(len(ts) - 1 - i)
	}
	requireShares(t, shares, tally(t, balance.PowerOfTwo(loadOf), ts, 20_000))
	slices.Reverse(ts)
	slices.Reverse(shares)
	requireShares(t, shares, tally(t, balance.PowerOfTwo(loadOf), ts, 20_000))
}

func TestPowerOfTwoOrdersLoads(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name          string
		loads, shares []float64
	}{
		{"lower wins", []float64{2, 1}, []float64{0, 1}},
		{"negative is lower", []float64{-1, 0}, []float64{1, 0}},
		{"NaN loses", []float64{nan, 1e300}, []float64{0, 1}},
		{"NaN loses on the other side", []float64{1e300, nan}, []float64{1, 0}},
		{"equal loads share", []float64{3, 3}, []float64{1, 1}},
		{"two NaN share", []float64{nan, nan}, []float64{1, 1}},
		{"NaN counts as infinite", []float64{nan, inf}, []float64{1, 1}},
		{"all equal share", []float64{1, 1, 1, 1, 1}, equal(5)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ts := targets(len(test.loads))
			for i := range ts {
				ts[i].load = test.loads[i]
			}
			requireShares(t, test.shares, tally(t, balance.PowerOfTwo(loadOf), ts, 5000))
		})
	}
}

// If every pick adds to the load, random picks leave it with the deviation of
// a binomial distribution, here 10; the better of two keeps it at about 1.
func TestPowerOfTwoBeatsRandom(t *testing.T) {
	t.Parallel()
	const n, each = 64, 100
	p, ts := balance.PowerOfTwo(loadOf), targets(n)
	for range n * each {
		pick(t, p, nil, ts).load++
	}
	loads := make([]float64, n)
	for i := range ts {
		loads[i] = ts[i].load
	}
	mean, dev := stats.MeanAndStdDev(loads)
	require.InDelta(t, each, mean, 1e-9)
	require.Less(t, dev, 3.0, "loads %v", loads)

	_, dev = stats.MeanAndStdDev(tally(t, balance.Random[*target](), ts, n*each))
	require.Greater(t, dev, 3.0)
}
