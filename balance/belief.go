package balance

import (
	"sync/atomic"
	"time"
)

// A belief says for each kind of pause what share of the prompts that a target was
// sent before the pause was still in its cache after it.
type belief [pauseKinds]struct {
	mean mean
	n    atomic.Uint64 // observations
}

const (
	// leastTrust is the least weight of one observation: there are few of them.
	leastTrust = 0.1

	// prior is how many observations of its own a target needs for them to count as
	// much as what is known of all targets.
	prior = 4
)

// observe learns that after a pause of that kind, a share of a prompt was left.
func (b *belief) observe(kind int, share float64) {
	m, n := &b[kind].mean, b[kind].n.Add(1)
	m.set(m.get() + (share-m.get())*max(leastTrust, 1/float64(n)))
}

// share returns what share of a prompt to count on after a pause of that kind. The
// less is known of a target, the more what is known of all counts; or, if all is
// nil, the belief that everything is kept.
//
// After a pause of kind 0 it is 1 if it is half or more: a target that has most
// prompts of a moment ago has all of them, and what it lacked was not finished yet.
func (b *belief) share(kind int, all *belief) float64 {
	n, common := float64(b[kind].n.Load()), 1.0
	if all != nil {
		common = all.share(kind, nil)
	}
	share := (b[kind].mean.get()*n + common*prior) / (n + prior)
	if kind == 0 && share >= 0.5 {
		return 1
	}
	return share
}

// pauses are the upper bounds of the kinds of pauses: a pause of kind 0 is shorter
// than five minutes, one of kind 1 than twenty, one of kind 2 than an hour. After
// a longer one nothing is expected to be left of a prompt.
var pauses = [...]time.Duration{5 * time.Minute, 20 * time.Minute, time.Hour}

const pauseKinds = len(pauses)

// pauseKind returns the kind of a pause of so many nanoseconds; pauseKinds if it
// is too long for any.
func pauseKind(ns int64) int {
	kind := 0
	for kind < pauseKinds && ns >= int64(pauses[kind]) {
		kind++
	}
	return kind
}
