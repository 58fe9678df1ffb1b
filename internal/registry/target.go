package registry

import (
	"sync/atomic"
	"time"

	"github.com/go-affinity/affinity/internal/lifetime"
)

// A Target is the one copy of a target's ID, and what all its bindings share. It lives
// as long as there are bindings to it; if the target is bound to again after that, it
// gets another Target, with the same Traits.
type Target struct {
	Name   string        // the target's ID
	Ref    uint32        // its number
	Hint   atomic.Uint32 // where it stood last in a list of candidates; may be wrong
	Traits *Traits

	dead atomic.Bool // once true, it stays so; set with the registry locked
	_    pad
	uses atomic.Int64 // bindings that refer to it, and calls that are about to make one
}

// Dead reports whether the target was invalidated, and all its bindings with it, or has lost
// its last binding.
func (t *Target) Dead() bool { return t.dead.Load() }

// retain counts one more use, unless there is none: once the last was given up, the number may
// have gone to another target.
func (t *Target) retain() bool {
	for n := t.uses.Load(); n > 0; n = t.uses.Load() {
		if t.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// Traits is what is known of a target apart from its bindings. It outlives them: a
// target that is invalidated keeps its Traits. All methods are safe for concurrent use;
// times are nanoseconds of the caller's clock, and positive.
type Traits struct {
	Life     lifetime.Estimate // of its prompt cache
	Presence Presence

	drain  atomic.Int64 // the deadline of its drain: see Registry.Drain; 0 if it is not being drained
	yields atomic.Int64 // from when on another session may leave it because it is overloaded
}

// DrainDue reports whether the target is being drained and the deadline has come, so that
// it has to give up the sessions that it has.
func (t *Traits) DrainDue(now int64) bool {
	end := t.drain.Load()
	return end != 0 && now >= end
}

// yieldGap is how long an overloaded target keeps the rest of its sessions after one has
// left: what it did for that one is still counted as its load.
const yieldGap = int64(30 * time.Second)

// MayYield reports whether an overloaded target may let go of another session.
func (t *Traits) MayYield(now int64) bool { return now >= t.yields.Load() }

// Yield lets a session leave an overloaded target, and reports whether it may. Of
// concurrent calls, one returns true.
func (t *Traits) Yield(now int64) bool {
	from := t.yields.Load()
	return now >= from && t.yields.CompareAndSwap(from, now+yieldGap)
}
