package clock

import (
	"time"
	"unsafe"
)

// SetWallClock makes it look as if the wall clock had been set forward by d since New.
func (c *Clock) SetWallClock(d time.Duration) {
	type monotonic struct { // a time.Time that has a monotonic reading
		wall uint64
		ext  int64
		loc  *time.Location
	}
	c.epoch = c.epoch.Add(-d)
	(*monotonic)(unsafe.Pointer(&c.epoch)).ext += int64(d)
}

// Announce leaves the Clock as it is while a call of watch is about to keep a reading.
// keep is what that call does next, with the time that it is now.
func (c *Clock) Announce() (keep func()) {
	now := c.Exact()
	c.kept.Store(-now)
	return func() { c.kept.CompareAndSwap(-now, now) }
}
