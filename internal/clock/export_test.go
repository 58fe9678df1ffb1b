package clock

// Announce leaves the Clock as it is while a call of watch is about to keep a reading.
// keep is what that call does next, with the time that it is now.
func (c *Clock) Announce() (keep func()) {
	now := c.Exact()
	c.kept.Store(-now)
	return func() { c.kept.CompareAndSwap(-now, now) }
}
