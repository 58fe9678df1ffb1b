package main

import (
	"maps"
	"sync"
	"time"
)

// health says whether an upstream is fit for a request. One that failed is left
// out for a while, then tried by one request at a time, and as long as these are
// served, by ever more of them. One that is slow is left to single requests until
// it no longer is. Where it has refused no more than what counts against one limit,
// it is left out for that alone.
type health struct {
	mu     sync.Mutex
	since  time.Time // when it failed last,
	until  time.Time // for how long it is left out,
	asked  bool      // and whether it asked for that itself
	window int       // how many may wait for an answer at once; 0: any number
	used   int       // how many of these do
	gone   bool      // it has failed and served nothing since
	streak int       // failures since it was well, each after a time out

	slow  bool
	quick int       // single requests in a row that were answered soon
	next  time.Time // when the next one may go

	limits map[uint64]time.Time // until when each is reached; see limitAt
	last   time.Time            // the latest of these
}

// A standing is how fit an upstream is for a request. Less is better.
type standing uint8

const (
	fit        standing = iota
	restrained          // slow, or still being tried by others
	failing             // left out since it failed
	refusing            // left out since it asked for that
)

const (
	fullWindow  = 32          // a window that is as wide is none
	probeGap    = time.Second // between single requests to what is slow
	quickEnough = 3           // of these in a row make it no longer slow
	maxLimits   = 1024        // how many are kept in mind
	patient     = 4           // failures in a row until it is out for the whole time; half of that for each one less
)

// well reports whether the upstream is fit for any number of any requests.
func (h *health) well(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.window == 0 && !now.Before(h.until) && !now.Before(h.last)
}

// admit returns how fit the upstream is for a request that counts against a limit,
// and from when on it is fitter. If slot is true, the request takes up one of the few
// that may go there, and must be followed by exactly one of served and release. Who
// only looks, and sends none, takes up nothing.
func (h *health) admit(now time.Time, limit uint64, sends bool) (s standing, slot bool, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.limits[limit]; now.Before(t) {
		return refusing, false, t
	}
	switch {
	case now.Before(h.until) && h.asked:
		return refusing, false, h.until
	case now.Before(h.until):
		return failing, false, h.until
	case h.window == 0:
		return fit, false, time.Time{}
	case h.used >= h.window || now.Before(h.next):
		return restrained, false, time.Time{}
	}
	if sends {
		h.used++
	}
	return fit, sends, time.Time{}
}

// release gives a slot back.
func (h *health) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used--
}

// served tells that a request that was sent at start has begun to be answered,
// and how soon it has. It reports whether it is news that the upstream is back, or no
// longer slow.
func (h *health) served(start, now time.Time, slot bool, how speed) (back, noLongerSlow bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slot {
		h.used--
	}
	if !h.asked && start.After(h.since) && now.Before(h.until) {
		h.until = now // better than we thought
	}
	if now.Before(h.until) || !start.After(h.since) {
		return false, false // it failed after it took this one
	}
	back, h.gone = h.gone, false
	switch {
	case h.window == 0: // it is well
	case h.slow && !slot:
	case h.slow && how == unknown:
	case h.slow && how == late:
		h.quick, h.next = 0, now.Add(probeGap)
	case h.slow:
		h.next = now.Add(probeGap)
		if h.quick++; h.quick >= quickEnough {
			h.slow, h.next, noLongerSlow = false, time.Time{}, true
			h.window++
		}
	default:
		if h.window++; h.window >= fullWindow {
			h.window, h.streak = 0, 0
		}
	}
	return back, noLongerSlow
}

// failed leaves the upstream out for d, or for longer if it is so already, and
// reports whether that is news. asked says that the upstream wants it so. If it
// does not, what has just failed is soon tried for the first time, since most
// troubles are short, and d is for those that are not.
func (h *health) failed(now time.Time, d time.Duration, asked bool) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news = !now.Before(h.until)
	if news && !asked {
		h.streak = min(h.streak+1, patient)
	}
	if !asked {
		d >>= patient - max(h.streak, 1)
	}
	if until := now.Add(d); until.After(h.until) {
		h.until, h.asked = until, asked || h.asked && !news
	}
	h.since, h.window, h.gone = now, 1, true
	return news
}

// limited leaves the upstream out for what counts against a limit. It is news if there was
// none before: where each client has some of its own, the log is not to tell of every one.
func (h *health) limited(now time.Time, d time.Duration, limit uint64) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := now.Add(d)
	if news = !now.Before(h.last); news { // all that there were are over
		h.limits = make(map[uint64]time.Time)
	}
	if _, ok := h.limits[limit]; !ok && len(h.limits) >= maxLimits {
		maps.DeleteFunc(h.limits, func(_ uint64, until time.Time) bool { return !now.Before(until) })
		for l := range h.limits {
			if len(h.limits) < maxLimits {
				break
			}
			delete(h.limits, l) // one whose time is not over
		}
	}
	if until.After(h.limits[limit]) {
		h.limits[limit] = until
	}
	if until.After(h.last) {
		h.last = until
	}
	return news
}

// slows leaves the upstream to single requests until it is quick again, and
// reports whether that is news.
func (h *health) slows(now time.Time) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quick = 0
	if h.slow {
		return false
	}
	h.slow, h.window, h.next = true, 1, now.Add(probeGap)
	return true
}

// tryNow lets an upstream be tried at once that is left out since it failed.
func (h *health) tryNow(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) && !h.asked {
		h.until = now
	}
}

// unproven reports whether the upstream has failed and served nothing since.
func (h *health) unproven() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}

// state is how the upstream looks to people.
func (h *health) state(now time.Time) (word string, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case now.Before(h.until):
		return "out", h.until
	case h.slow:
		return "slow", time.Time{}
	case h.window > 0:
		return "coming back", time.Time{}
	case now.Before(h.last):
		return "limited", time.Time{}
	}
	return "in", time.Time{}
}
