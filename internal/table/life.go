package table

import "math"

// A life says how long a record lives. It packs the record's expiry (58 bits), a flag (see
// stands) and the number of its leases (5 bits) into one word, from the top, so that one
// compare-and-swap changes all. 58 bits are nine years of nanoseconds; a later expiry means
// never. Nothing coarser would do: callers tell uses apart by their expiry (Untouch), and order
// records by it. No record has the life 0.
type life uint64

// MaxLeases is the largest number of leases that are counted. A record that has so many
// keeps them: there may be more uses than leases, and nobody knows when the last one ends.
const MaxLeases = 1<<leaseBits - 1

// plenty is how many leases are enough for a record that is used all the time: one more
// would make it MaxLeases.
const plenty = MaxLeases - 1

const (
	leaseBits = 5
	stands    = 1 << leaseBits // the use that led to this expiry has ended well: no Untouch takes it back
	shift     = leaseBits + 1
	never     = 1<<(64-shift) - 1 // the largest expiry that there is room for
)

// lifeOf packs a life.
func lifeOf(expires int64, leases int) life {
	return life(min(expires, never)<<shift) | life(min(leases, MaxLeases))
}

// expires returns the expiry.
func (l life) expires() int64 {
	if e := int64(l >> shift); e < never {
		return e
	}
	return math.MaxInt64
}

// beyond reports whether the expiry is later than now, which must be earlier than never: from then
// on, time would begin anew. It takes less than to get the expiry out of the word first: what
// stands below is less than a nanosecond.
func (l life) beyond(now int64) bool { return l > life(now)<<shift|(1<<shift-1) }

func (l life) leases() int { return int(l & MaxLeases) }

// end returns the instant at which the life ends: its expiry, or limit after
// that while there are leases.
func (l life) end(limit int64) int64 {
	e := l.expires()
	if l.leases() > 0 && e < math.MaxInt64 {
		e += limit
	}
	return e
}

// until returns the life with another expiry and the same leases. No use stands for that
// expiry yet.
func (l life) until(expires int64) life { return lifeOf(expires, l.leases()) }

// touched returns what [Table.Touch] makes of the life.
func (l life) touched(expires, gap int64, lease bool) life {
	ahead := expires - l.expires()
	near := max(ahead, -ahead) <= max(gap, 0)
	n := l.leases()
	lease = lease && n < MaxLeases && !(near && n >= plenty)
	if near && !lease {
		return l
	}
	if ahead > 0 {
		l = l.until(expires)
	}
	if lease {
		l++
	}
	return l
}

// ended returns what [Table.End] makes of the life for a user who has a lease: it has one
// less, unless it has MaxLeases, and an expiry of expires or later.
func (l life) ended(expires int64) life {
	if l = l.touched(expires, 0, false); l.expires() == expires {
		l |= stands
	}
	if l.leases() == MaxLeases {
		return l
	}
	return l - 1
}
