package main

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxPause bounds how long an upstream can take itself out.
const maxPause = 5 * time.Minute

// pause returns for how long an upstream that answered like this asks to be left
// alone, or 0.
func pause(resp *http.Response, now time.Time) time.Duration {
	if ms, _ := strconv.ParseFloat(resp.Header.Get("Retry-After-Ms"), 64); ms > 0 { // OpenAI, Azure
		return seconds(ms / 1000)
	}
	after := resp.Header.Get("Retry-After")
	if t, err := http.ParseTime(after); err == nil {
		return min(max(t.Sub(now), 0), maxPause)
	}
	s, _ := strconv.ParseFloat(after, 64) // 0 if it is no number, and infinite if it is beyond all numbers
	return seconds(s)
}

// seconds is s as a duration, as far as a pause goes.
func seconds(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, maxPause.Seconds()) * float64(time.Second))
}

// retryAfter is d as a header has it, in whole seconds.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(max(d.Seconds(), 1))))
}

// back returns how long it takes until an upstream is there for the request
// again. One that has failed is not counted on, nor one that was of no use to it; and where
// one has the state that it refers to and says when, no other.
func (x *exchange) back(now time.Time) time.Duration {
	if wait := x.stateIn(now, nil); wait > 0 {
		return wait
	}
	soonest := maxPause
	for _, u := range x.upstreams {
		standing, _, until := u.health.admit(now, x.limitAt(u), false)
		if standing == refusing || standing != failing && !slices.Contains(x.tried, u) {
			soonest = min(soonest, max(0, until.Sub(now)))
		}
	}
	return soonest
}

// hasten lets an answer that asks the client to come back later, if it is one, ask for
// no more than the upstream that is there first: the client does not know of the others.
func (x *exchange) hasten(resp *http.Response) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
		return
	}
	now := time.Now()
	if back := x.back(now); back+time.Second <= pause(resp, now) {
		resp.Header["Retry-After"] = []string{retryAfter(back)}
		delete(resp.Header, "Retry-After-Ms")
	}
}
