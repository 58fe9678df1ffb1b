// Package clock tells the time to callers who ask for it all the time.
//
// Reading the system's clock takes as long as all the rest of a look-up in a table. So
// if it is asked many times within microseconds, a Clock keeps a reading and uses it
// again, until a timer drops it.
package clock

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// Precision is how long a kept reading is used again, or longer by as much as the
	// timer is late, which it is while all processors are busy.
	Precision = time.Millisecond

	// A reading is kept once crowd readings in a row each came within busy nanoseconds
	// of the one before. In virtual time, which stands still and then leaps, they do not.
	busy  = int64(20 * time.Microsecond)
	crowd = 1000
)

// A Clock counts nanoseconds. Use New. All methods are safe for concurrent use.
type Clock struct {
	epoch time.Time
	exact bool

	// kept is the reading that is used again, or 0 if there is none. While a call of watch that
	// has read x is about to keep a reading, it is -x: an announcement.
	kept atomic.Int64

	last atomic.Int64 // the last reading by watch
	row  atomic.Int32 // how many readings in a row were close to the one before
}

// New returns a Clock that begins to count now. An exact Clock never uses a reading again.
func New(exact bool) *Clock { return &Clock{epoch: time.Now(), exact: exact} }

// Now returns how many nanoseconds have passed since New, plus 1: it is always positive.
// If it is called all the time, the result may be old by Precision, or a little more;
// otherwise it is exact.
func (c *Clock) Now() int64 {
	if now := c.kept.Load(); now > 0 {
		return now
	}
	return c.watch()
}

// Busy reports whether a reading is being reused at present.
func (c *Clock) Busy() bool { return c.kept.Load() > 0 }

// Exact is Now, but reads the system's clock. A call of Now that comes after it may
// return an earlier time: see Pass.
func (c *Clock) Exact() int64 { return int64(time.Since(c.epoch)) + 1 }

// Pass makes sure that Now returns nothing earlier than now from here on. If that takes a
// change of the kept reading, all callers of Now miss their caches once.
func (c *Clock) Pass(now int64) {
	for kept := c.kept.Load(); kept != 0 && kept < now; kept = c.kept.Load() {
		next := now
		if kept < 0 {
			next = 0 // the reading that is about to be kept may be earlier, so it must not be kept
		}
		c.kept.CompareAndSwap(kept, next)
	}
}

// Time returns the instant at which Exact returns now. Its date is right only if, since New,
// the wall clock was not set and the system was not suspended.
func (c *Clock) Time(now int64) time.Time { return c.epoch.Add(time.Duration(now - 1)) }

// Date is Time by the wall clock as it is now. Two calls may differ by nanoseconds.
func (c *Clock) Date(at int64) time.Time {
	now := time.Now()
	return now.Add(time.Duration(at-1) - now.Sub(c.epoch))
}

// At returns what Exact returns at t, which may have nothing but a date: that counts from
// the present, and not from New, by what the wall clock was then. If it is too far ahead for
// an int64, At returns the largest.
func (c *Clock) At(t time.Time) int64 {
	now := time.Now()
	exact := int64(now.Sub(c.epoch)) + 1
	return exact + min(int64(t.Sub(now)), math.MaxInt64-exact)
}

// watch is Exact, and keeps a reading if it is called all the time.
func (c *Clock) watch() int64 {
	now := c.Exact()
	if c.exact {
		return now
	}
	c.Pass(now) // another call may keep an earlier reading, and the next Now must not go back
	switch since := now - c.last.Swap(now); {
	case since <= 0:
	case since > busy:
		c.row.Store(0)
	case c.row.Load() < crowd:
		c.row.Add(1)
	case c.kept.CompareAndSwap(0, -now):
		// A later time than now may have been given to Pass before the announcement. So keep
		// a reading from after it, unless Pass has withdrawn the announcement since.
		time.AfterFunc(Precision, c.forget)
		c.kept.CompareAndSwap(-now, c.Exact())
	}
	return now
}

// forget ends the use of the kept reading. It leaves row alone and counts as a
// reading, so that the next call of watch keeps another if it comes soon.
func (c *Clock) forget() {
	c.last.Store(c.Exact())
	c.kept.Store(0)
}
