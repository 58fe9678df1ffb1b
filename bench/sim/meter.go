package main

import (
	"slices"
	"time"

	"github.com/go-affinity/affinity"
)

// window is the length of the windows that imbalance is looked at in, beside
// the whole run.
const window = 5 * time.Minute

// A meter adds up what a policy did.
type meter struct {
	total   []load   // by upstream
	windows [][]load // by window and upstream

	requests                             int
	prompt, cached, oracle               int64 // tokens
	moves, failed, refused, waited, lost int
	moved, expiredHere, neverHere        int64 // tokens lost against the oracle, by cause
}

// load is what an upstream had to do.
type load struct{ requests, uncached, cost float64 }

func newMeter(n int) *meter { return &meter{total: make([]load, n)} }

// count counts a request that upstream u has served, where the oracle would have had
// so many tokens in its cache.
func (m *meter) count(u int, now time.Duration, usage affinity.Usage, oracle int) {
	m.requests++
	m.prompt += int64(usage.Uncached + usage.Cached)
	m.cached += int64(usage.Cached)
	m.oracle += int64(oracle)
	for int(now/window) >= len(m.windows) {
		m.windows = append(m.windows, make([]load, len(m.total)))
	}
	for _, l := range []*load{&m.total[u], &m.windows[now/window][u]} {
		l.requests++
		l.uncached += float64(usage.Uncached)
		l.cost += usage.Cost()
	}
}

// figures are what is told of a run, or of several: their means, say.
type figures [numFigures]float64

// The figures.
const (
	Hit       = iota // share of prompt tokens from the cache
	OracleHit        // the same of the oracle
	Missed           // share of the oracle's that a policy did not have
	Uncached         // tokens read anew, against the oracle's

	// Imbalance: the most of any upstream, against the mean.
	Requests
	Tokens
	Cost
	MedianTokens // in the median window
	MedianCost
	WorstTokens // and in the worst
	WorstCost

	// Shares of all prompt tokens.
	Moved
	ExpiredHere
	NeverHere

	Moves // share of requests sent elsewhere than the one before
	Failed
	Refused
	Waited // share of requests for which nobody was usable at first
	Lost   // and at last

	numFigures
)

func requestsOf(l load) float64 { return l.requests }
func uncachedOf(l load) float64 { return l.uncached }
func costOf(l load) float64     { return l.cost }

// imbalance is the largest load against the mean; NaN if there is none.
func imbalance(loads []load, of func(load) float64) float64 {
	var sum, most float64
	for _, l := range loads {
		sum += of(l)
		most = max(most, of(l))
	}
	return most * float64(len(loads)) / sum
}

// figures sums a run up.
func (m *meter) figures() figures {
	share := func(n, of int64) float64 { return float64(n) / float64(of) }
	per := func(n, of int) float64 { return share(int64(n), int64(of)) }
	f := figures{
		Hit: share(m.cached, m.prompt), OracleHit: share(m.oracle, m.prompt), Missed: share(m.oracle-m.cached, m.oracle),
		Uncached: share(m.prompt-m.cached, m.prompt-m.oracle),
		Requests: imbalance(m.total, requestsOf), Tokens: imbalance(m.total, uncachedOf), Cost: imbalance(m.total, costOf),
		Moved: share(m.moved, m.prompt), ExpiredHere: share(m.expiredHere, m.prompt), NeverHere: share(m.neverHere, m.prompt),
		Moves: per(m.moves, m.requests), Failed: per(m.failed, m.requests), Refused: per(m.refused, m.requests), Waited: per(m.waited, m.requests+m.lost), Lost: per(m.lost, m.requests+m.lost),
	}
	f[MedianTokens], f[WorstTokens] = m.windowed(uncachedOf)
	f[MedianCost], f[WorstCost] = m.windowed(costOf)
	return f
}

// windowed returns the imbalance in the median window and in the worst one.
// Windows with less than half the usual number of requests are left out: those
// in which the traffic begins and ends.
func (m *meter) windowed(of func(load) float64) (median, worst float64) {
	var all []float64
	for _, w := range m.windows {
		requests := 0.0
		for _, l := range w {
			requests += l.requests
		}
		if requests < float64(m.requests)/float64(2*len(m.windows)) {
			continue
		}
		if v := imbalance(w, of); v > 0 {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, all[len(all)-1]
}
