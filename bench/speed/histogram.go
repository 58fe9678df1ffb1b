package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// newHistogram returns a histogram of durations in nanoseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, time.Hour.Nanoseconds(), 3)
}

// onTime returns what readers would have seen that come in one every so often,
// whether or not the one before is done, and wait their turn. h has the reads of a
// single reader that went on without a break: a read that takes long delays only
// itself there, and would have delayed all who came in meanwhile.
func onTime(h *hdrhistogram.Histogram, interval time.Duration) *hdrhistogram.Histogram {
	every, out := interval.Nanoseconds(), newHistogram()
	var total, short int64 // of all reads; of those so short that nobody comes in meanwhile
	for _, b := range h.Distribution() {
		total += b.Count * b.From
		if b.From < every {
			short += b.Count
			continue
		}
		for left := b.From; b.Count > 0 && left > 0; left -= every {
			must(out.RecordValues(left, b.Count))
		}
	}
	// The others found as many of each size as there were. (Their sum is rounded: there may
	// be less than one of most sizes.)
	others := max(total/every-out.TotalCount(), 0)
	var seen, given int64
	for _, b := range h.Distribution() {
		if b.Count > 0 && b.From < every {
			seen += b.Count
			due := others * seen / short
			must(out.RecordValues(b.From, due-given))
			given = due
		}
	}
	return out
}
