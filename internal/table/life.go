package table

import "math"

// A life says how long a record lives. From the top, it packs the record's expiry (58 bits),
// the flag confirmed and the number of leases (5 bits) into one word, so that one
// compare-and-swap changes all of them. 58 bits hold nine years of nanoseconds; a later
// expiry means never. The expiry must be exact to the nanosecond, since callers tell uses
// apart by it (Untouch) and order records by it. No record has the life 0.
type life uint64

// MaxLeases is the largest number of leases that are counted. A record that has so many
// never gives one back: there may be more uses than leases, so nobody knows when the last
// one ends.
const MaxLeases = 1<<leaseBits - 1

// plenty is how many leases are enough for a record that is used all the time. One more would
// make it MaxLeases, and those are never given back.
const plenty = MaxLeases - 1

const (
	leaseBits   = 5
	confirmed   = 1 << leaseBits // an End has led to this expiry, too: no Untouch takes it back
	expiryShift = leaseBits + 1
	never       = 1<<(64-expiryShift) - 1 // the largest expiry that there is room for
)

// lifeOf packs a life.
func lifeOf(expires int64, leases int) life {
	return life(min(expires, never)<<expiryShift) | life(min(leases, MaxLeases))
}

// expires returns the expiry.
func (l life) expires() int64 {
	if e := int64(l >> expiryShift); e < never {
		return e
	}
	return math.MaxInt64
}

// beyond reports whether the expiry is later than now, which must be less than never: the shift
// would drop bits of a larger one. To save unpacking the expiry, it compares whole words, with
// all bits below the expiry set in that of now.
func (l life) beyond(now int64) bool { return l > life(now)<<expiryShift|(1<<expiryShift-1) }

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

// withExpiry returns the life with another expiry, which is not confirmed yet, and the same
// leases.
func (l life) withExpiry(expires int64) life { return lifeOf(expires, l.leases()) }

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
		l = l.withExpiry(expires)
	}
	if lease {
		l++
	}
	return l
}

// ended returns what [Table.End] makes of the life: it has an expiry of expires or later and, if
// the user has a lease, one less, unless it has MaxLeases.
func (l life) ended(expires, gap int64, leased bool) life {
	if leased {
		gap = 0
	}
	if l = l.touched(expires, gap, false); l.expires() == expires {
		l |= confirmed
	}
	if !leased || l.leases() == MaxLeases {
		return l
	}
	return l - 1
}
