package main

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations by size, to within three percent.
type histogram struct {
	counts [64 * 32]int64
	n      int64
	max    time.Duration
}

// bucket returns the index of the count for d. Durations below 32 ns have one
// each; larger ones are told apart by their six highest bits.
func bucket(d time.Duration) int {
	x := uint64(max(d, 0))
	if x < 32 {
		return int(x)
	}
	shift := bits.Len64(x) - 6
	return shift*32 + int(x>>shift)
}

// floor returns the least duration that is counted in bucket b, in nanoseconds.
func floor(b int) float64 {
	if b < 64 {
		return float64(b)
	}
	shift := b/32 - 1
	return math.Ldexp(float64(b-shift*32), shift)
}

func (h *histogram) add(d time.Duration) { h.addMany(d, 1) }

func (h *histogram) addMany(d time.Duration, n int64) {
	h.counts[bucket(d)] += n
	h.n += n
	h.max = max(h.max, d)
}

// quantile returns the duration, in nanoseconds, that a share q of all are not
// above; 0 if there are none.
func (h *histogram) quantile(q float64) float64 {
	if h.n == 0 {
		return 0
	}
	rank := int64(math.Ceil(q * float64(h.n)))
	var sum int64
	for b, n := range h.counts {
		if sum += n; sum >= rank && n > 0 {
			return (floor(b) + floor(b+1)) / 2
		}
	}
	return float64(h.max)
}

// onTime returns what readers would have seen that come in one every so often,
// whether or not the one before is done, and wait their turn. h has the reads of a
// single reader that went on without a break: a read that takes long delays only
// itself there, and would have delayed all who came in meanwhile.
func (h *histogram) onTime(every time.Duration) *histogram {
	var out histogram
	var total float64
	var short int64 // reads so short that nobody comes in meanwhile
	for b, n := range h.counts {
		d := time.Duration(floor(b))
		total += float64(n) * floor(b)
		if d < every {
			short += n
			continue
		}
		for left := d; n > 0 && left > 0; left -= every {
			out.addMany(left, n)
		}
	}
	others := max(total/float64(every)-float64(out.n), 0)
	for b, n := range h.counts {
		if d := time.Duration(floor(b)); n > 0 && d < every {
			out.addMany(d, int64(math.Ceil(others*float64(n)/float64(short))))
		}
	}
	out.max = h.max
	return &out
}
