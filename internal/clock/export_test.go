package clock

// Announce leaves the Clock as it is while a call of watch is about to keep a reading.
func (c *Clock) Announce() { c.kept.Store(-c.Exact()) }
