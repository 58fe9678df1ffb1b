package table

import "math"

// A life says how long a record lives: its expiry, the number of its leases, and
// whether a use that led to the expiry is over and stands, in one word, so that
// one compare-and-swap changes all. The expiry has 58 bits, which is nine years of
// nanoseconds; what expires later than that never does. No record has the life 0.
type life uint64

// MaxLeases is the largest number of leases that are counted. What has so many
// keeps them all: nobody knows how many there are.
const MaxLeases = 1<<leaseBits - 1

// crowd is how many leases are enough where a record is used all the time: with
// one more, nobody would know how many there are.
const crowd = MaxLeases - 1

const (
	leaseBits = 5
	stands    = 1 << leaseBits
	shift     = leaseBits + 1
	never     = 1<<(64-shift) - 1
)

func lifeOf(expires int64, leases int) life {
	return life(min(expires, never)<<shift) | life(min(leases, MaxLeases))
}

func (l life) expires() int64 {
	if e := int64(l >> shift); e < never {
		return e
	}
	return math.MaxInt64
}

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

// touched returns what becomes of the life by [Table.Touch].
func (l life) touched(expires, gap int64, lease bool) life {
	ahead := expires - l.expires()
	near := -gap <= ahead && ahead <= gap
	n := l.leases()
	lease = lease && n < MaxLeases && !(near && n >= crowd)
	if near && !lease {
		return l
	}
	if ahead > 0 {
		l = lifeOf(expires, n)
	}
	if lease {
		l++
	}
	return l
}

// ended returns the life with one lease less, of which it must have one, after a
// use that makes the expiry slide to expires.
func (l life) ended(expires int64) life {
	if l = l.touched(expires, 0, false); l.expires() == expires {
		l |= stands
	}
	if l.leases() == MaxLeases {
		return l
	}
	return l - 1
}
