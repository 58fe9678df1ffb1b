package balance

import (
	"sync/atomic"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Weighted returns a picker that takes candidates in proportion to their
// weights: one of weight 3 three times as often as one of weight 1. Only the
// ratios count, so a weight may be a size, a quota or what is left of it.
//
// The spread is smooth, not random: picks of the same target are interleaved
// with those of others, and as long as candidates and weights stay the same,
// each target is within a few picks of its exact share at any time. When they
// change, the next pick goes by the new ones. The picker keeps a single count
// and no state about any target.
//
// A weight that is 0, negative, NaN or above 1e300 counts as none. A candidate
// without a weight is picked only if no candidate has one, and then all are picked
// equally often. The function weight is called up to twice for each candidate.
//
// Weighted panics if weight is nil.
func Weighted[T any](weight func(target T) float64) affinity.Picker[T] {
	if weight == nil {
		panic("balance: Weighted needs a weight function")
	}
	share := func(target T) float64 {
		// The upper limit keeps the sum finite.
		if w := weight(target); w > 0 && w <= 1e300 {
			return w
		}
		return 0
	}
	var count atomic.Uint64
	return policy[T](func(_ *extract.Request, candidates []T) int {
		// Each candidate has a part of the interval [0, 1) that is as long as its
		// share, and the one is picked in whose part the point lies. The multiples
		// of the golden ratio, modulo 1, fill the interval about as evenly as a
		// sequence can, however many there are, and do so even if only every k-th
		// is looked at.
		const golden = 0x9e3779b97f4a7c15 // (sqrt(5)-1)/2 as a fraction of 1<<64
		point := float64(count.Add(1)*golden>>11) / (1 << 53)

		total := 0.0
		for _, c := range candidates {
			total += share(c)
		}
		pick, left := -1, point*total
		for i, c := range candidates {
			w := share(c)
			if w == 0 {
				continue
			}
			pick = i // what rounding or a changed weight leaves over goes to the last one
			if left < w {
				break
			}
			left -= w
		}
		if pick < 0 {
			return int(point * float64(len(candidates)))
		}
		return pick
	})
}
