package main

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations by size, to within three percent.
type histogram struct {
	counts [64 * 32]int64
	n      int64
	max    time.Duration
}

// bucket returns where d is counted: by its highest six bits.
func bucket(d time.Duration) int {
	x := uint64(max(d, 0))
	if x < 32 {
		return int(x)
	}
	shift := bits.Len64(x) - 6
	return shift*32 + int(x>>shift)
}

// floor is the least duration of a bucket, as a number.
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

// quantile returns the duration, in nanoseconds, that a part q is not above.
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

// onTime returns the histogram of readers that come in every so often, whether
// or not the one before them is done, and wait for it: a read that takes long
// counts once for each of them. The reads that were added took all the time.
func (h *histogram) onTime(every time.Duration) *histogram {
	var out histogram
	var total float64
	var short int64 // reads in which nobody else comes in
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
