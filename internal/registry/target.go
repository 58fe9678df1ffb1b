package registry

import (
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/internal/lifetime"
)

// A Target is the one copy of a target's ID, and what its bindings share.
type Target struct {
	Name   string
	Ref    uint32        // the number that it has for now
	Hint   atomic.Uint32 // where it stood among the candidates last
	Traits *Traits

	dead  atomic.Bool
	_     apart
	slots atomic.Int64 // bindings that refer to it, and calls about to make one
}

// Dead reports whether the target was invalidated, and all its bindings with it.
func (t *Target) Dead() bool { return t.dead.Load() }

// retain counts one more, if there are any: only then does the target surely have
// its number still.
func (t *Target) retain() bool {
	for n := t.slots.Load(); n > 0; n = t.slots.Load() {
		if t.slots.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// Traits is what is known of a target apart from its bindings. It outlives
// them: a target that is invalidated is the same afterwards.
type Traits struct {
	Life     lifetime.Estimate // of its prompt cache
	Presence Presence

	drain atomic.Int64 // when its sessions must be gone; 0 if it is not drained
	left  atomic.Int64 // when a session left it for others' sake
}

// Drained reports whether the target has to give up the sessions it has.
func (t *Traits) Drained(now int64) bool {
	end := t.drain.Load()
	return end != 0 && now >= end
}

// leaveGap is how long a target that has more than its share keeps the rest of
// its sessions after one has left: what it did for that one is still counted.
const leaveGap = int64(30 * time.Second)

// MayLeave reports whether it is time for another session to leave.
func (t *Traits) MayLeave(now int64) bool {
	left := t.left.Load()
	return left == 0 || now-left >= leaveGap
}

// Leave is MayLeave for the one that does.
func (t *Traits) Leave(now int64) bool {
	left := t.left.Load()
	return (left == 0 || now-left >= leaveGap) && t.left.CompareAndSwap(left, now)
}
