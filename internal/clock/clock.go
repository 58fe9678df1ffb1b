// Package clock tells the time to those who ask for it all the time.
//
// To read the clock of the system takes as long as all the rest of a look-up in
// a table. Where it is read many times within microseconds, a reading is
// therefore used again, until a timer takes it away.
package clock

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// Precision is how old a reading may be that is used again. It may be older
	// by as much as the timer is late, which it is while all processors are busy.
	Precision = time.Millisecond

	// busy is how close to each other readings must be, and crowd how many in a
	// row, for one to be used again. Where virtual time stands still between two
	// readings, or takes a longer step, they are no crowd.
	busy  = int64(20 * time.Microsecond)
	crowd = 1000
)

// A Clock counts nanoseconds. Use New. All methods are safe for concurrent use.
type Clock struct {
	epoch time.Time
	exact bool
	kept  atomic.Int64 // the reading that is used again; 0 if there is none, negative if it is about to be
	last  atomic.Int64 // when the clock was read last
	row   atomic.Int32 // how many readings in a row were close to the one before
}

// New returns a Clock that has just begun to count. If it is to be exact, it
// never uses a reading again.
func New(exact bool) *Clock { return &Clock{epoch: time.Now(), exact: exact} }

// Now returns how many nanoseconds have passed since New, plus 1. It is late by
// Precision at most, or a little more, where it is called all the time; else it
// is exact.
func (c *Clock) Now() int64 {
	if now := c.kept.Load(); now > 0 {
		return now
	}
	return c.watch()
}

// Busy reports whether readings are used again at present.
func (c *Clock) Busy() bool { return c.kept.Load() > 0 }

// Exact is Now without any delay. Who calls Now soon after it may be told of an
// earlier time: see Pass.
func (c *Clock) Exact() int64 { return int64(time.Since(c.epoch)) + 1 }

// Pass sees to it that Now returns nothing that is before now from here on. Each
// time that it has to do so, all who call Now wait for memory once.
func (c *Clock) Pass(now int64) {
	for {
		kept := c.kept.Load()
		if kept == 0 || kept >= now {
			return
		}
		next := now
		if kept < 0 {
			next = 0 // whatever is about to be kept may be earlier: it will not be
		}
		if c.kept.CompareAndSwap(kept, next) {
			return
		}
	}
}

// Time returns the instant at which Exact returns now.
func (c *Clock) Time(now int64) time.Time { return c.epoch.Add(time.Duration(now - 1)) }

// At returns what Exact returns at t, as far as an int64 goes.
func (c *Clock) At(t time.Time) int64 { return int64(min(t.Sub(c.epoch), math.MaxInt64-1)) + 1 }

// watch is Exact, and keeps what it has read if it is called all the time.
func (c *Clock) watch() int64 {
	now := c.Exact()
	if c.exact {
		return now
	}
	c.Pass(now) // somebody may have begun to use a reading again
	switch since := now - c.last.Swap(now); {
	case since <= 0:
	case since > busy:
		c.row.Store(0)
	case c.row.Load() < crowd:
		c.row.Add(1)
	case c.kept.CompareAndSwap(0, -now):
		// Announced first: a reading from before could be behind what has passed.
		time.AfterFunc(Precision, c.forget)
		c.kept.CompareAndSwap(-now, c.Exact())
	}
	return now
}

// forget ends the use of a reading. Whoever asks for the time right after it
// begins the use of another.
func (c *Clock) forget() {
	c.last.Store(c.Exact())
	c.kept.Store(0)
}
