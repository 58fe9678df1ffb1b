package balance_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/balance"
)

func TestRoundRobinTakesCandidatesInTurn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 7, 63, 64, 65, 200} {
		p, ts := balance.RoundRobin[*target](), targets(n)
		for i := range 3 * n {
			require.Same(t, ts[i%n], pick(t, p, nil, ts), "pick %d of %d candidates", i, n)
		}
	}
}

// Not parallel to other tests: it needs the processors to itself for its
// goroutines to get in each other's way.
func TestRoundRobinIsExactUnderConcurrency(t *testing.T) {
	const goroutines, each, n = 8, 90_000, 9
	p := balance.RoundRobin[int]()
	candidates := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	var counts [n]atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				got, err := p.Pick(t.Context(), nil, candidates)
				if err != nil {
					t.Error(err)
					return
				}
				counts[got].Add(1)
			}
		})
	}
	wg.Wait()
	for i := range counts {
		require.EqualValues(t, goroutines*each/n, counts[i].Load(), "picks of candidate %d", i)
	}
}

// A target that is down makes every third pick fail and be repeated without
// it. With one turn for lists of any length, this rhythm gives one of the two
// others three times as much as the other.
func TestRoundRobinSpreadsRetriesEvenly(t *testing.T) {
	t.Parallel()
	p := balance.RoundRobin[string]()
	all, up := []string{"down", "b", "c"}, []string{"b", "c"}
	counts := map[string]int{}
	for range 600 {
		got := pick(t, p, nil, all)
		if got == "down" {
			got = pick(t, p, nil, up)
		}
		counts[got]++
	}
	require.Equal(t, map[string]int{"b": 300, "c": 300}, counts)
}

func TestRoundRobinIsEvenOverListsOfChangingLength(t *testing.T) {
	long(t)
	t.Parallel()
	p, ts := balance.RoundRobin[*target](), targets(12)
	counts := make([][]float64, len(ts)+1)
	for n := range counts {
		counts[n] = make([]float64, n)
	}
	for i := range 12 * 27720 { // 27720 is a multiple of every length
		n := 1 + i%12
		got := pick(t, p, nil, ts[:n])
		counts[n][slices.Index(ts, got)]++
	}
	for n := 1; n < len(counts); n++ {
		require.Equal(t, slices.Repeat([]float64{27720 / float64(n)}, n), counts[n])
	}
}

// A long list takes nobody's turn in a short one.
func TestRoundRobinByLength(t *testing.T) {
	t.Parallel()
	p := balance.RoundRobin[int]()
	var n [2]int
	for range 100 {
		for _, long := range []int{64, 66, 126, 128} {
			_, err := p.Pick(t.Context(), nil, make([]int, long))
			require.NoError(t, err)
		}
		x, err := p.Pick(t.Context(), nil, []int{0, 1})
		require.NoError(t, err)
		n[x]++
	}
	require.Equal(t, [2]int{50, 50}, n)
}
