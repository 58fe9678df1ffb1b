package table

import (
	"math/bits"
	"sync/atomic"
)

// slot is a record in place, in half a cache line.
type slot struct {
	lo    atomic.Uint64 // of the key; 0 where the slot is free
	life  atomic.Uint64 // 0 as well where a record is coming or leaving
	about atomic.Uint64 // the ref, the stamp and the rest of the key: see aboutOf
	mark  atomic.Uint64
}

// aboutOf returns what is the same for a record as long as it is in the table.
func aboutOf(k Key, ref, stamp uint32) uint64 {
	return uint64(ref)<<(stampBits+hiBits) | uint64(stamp)<<hiBits | uint64(k.Hi)
}

func refOf(about uint64) uint32   { return uint32(about >> (stampBits + hiBits)) }
func stampOf(about uint64) uint32 { return uint32(about >> hiBits & (1<<stampBits - 1)) }

func (sl *slot) found() Found { return Found{sl, sl.about.Load(), sl.load(), sl.mark.Load()} }

func (sl *slot) load() life { return life(sl.life.Load()) }

func (sl *slot) swap(was, l life) bool { return sl.life.CompareAndSwap(uint64(was), uint64(l)) }

func (sl *slot) key() Key { return Key{uint16(sl.about.Load()), sl.lo.Load()} }

func (sl *slot) ref() uint32 { return refOf(sl.about.Load()) }

// write puts a record where there is none, its life last: that makes it one.
func (sl *slot) write(k Key, r *Record) {
	sl.lo.Store(k.Lo)
	sl.about.Store(aboutOf(k, r.Ref, r.Stamp))
	sl.mark.Store(r.Mark)
	sl.life.Store(uint64(lifeOf(r.Expires, r.Leases)))
}

// replace writes another record over the one in place, whose life the caller has
// seen to be l. It gives up if that was lengthened in the meantime: what has expired
// then has not. Readers need not look elsewhere: what has no life is being written.
func (sl *slot) replace(l life, k Key, r *Record) bool {
	if !sl.swap(l, 0) {
		return false
	}
	sl.write(k, r)
	return true
}

// move takes the record out of from, its life first: whoever is about to
// lengthen that there fails and looks again.
func (sl *slot) move(from *slot) {
	l := from.life.Swap(0)
	sl.lo.Store(from.lo.Load())
	sl.about.Store(from.about.Load())
	sl.mark.Store(from.mark.Load())
	sl.life.Store(l)
}

// A block is a hash table: a circle of slots, in which a record stands at the
// home of its key or behind it, with no free slot between. Some slots are always
// free. There is an even number of slots, and homes are even: most records stand in the
// cache line where their search begins.
//
// Readers need no lock; writers must have one. Where records move, readers must be
// told: see [shard].
type block struct{ slots []slot }

func newBlock(n int) *block { return &block{make([]slot, n)} }

// len returns the number of slots. A nil block has none.
func (b *block) len() int {
	if b == nil {
		return 0
	}
	return len(b.slots)
}

// home returns where the search for k begins: Lo as a fraction of 2^64, times the
// number of slots. So that need not be a power of two, and homes keep their
// order when it changes.
func (b *block) home(k Key) uint {
	i, _ := bits.Mul64(k.Lo, uint64(len(b.slots)))
	return uint(i) &^ 1
}

// next returns the slot behind i.
func (b *block) next(i uint) uint {
	if i++; i < uint(len(b.slots)) {
		return i
	}
	return 0
}

// soon looks at n slots from i on for a record that ends no later than until. It
// returns the place of the first and how many slots are left from there on, itself
// among them; or where it has come to and 0. Nothing else than that is a branch:
// which slots are free, and which records have leases, nobody can foresee.
func (b *block) soon(i uint, n int, limit, until int64) (at uint, left int) {
	for n > 0 {
		some := b.slots[i:min(i+uint(n), uint(len(b.slots)))]
		for j := range some {
			l := some[j].load()
			leased := int64(l&MaxLeases+MaxLeases) >> leaseBits // one or zero
			end := int64(l>>shift) + limit&-leased
			if uint64(end)-1 < uint64(until) { // not if the slot is free
				return i + uint(j), n - j
			}
		}
		n -= len(some)
		i = (i + uint(len(some))) % uint(len(b.slots))
	}
	return i, 0
}

// find returns the place of the record of k, and the record as it is, which may
// have ended. It is the zero Found if there is none.
func (b *block) find(k Key) (uint, Found) {
	if b == nil {
		return 0, Found{}
	}
	for i := b.start(k); ; i = b.next(i) {
		sl := &b.slots[i]
		about := sl.about.Load() // before the rest, which Holds then vouches for
		lo := sl.lo.Load()
		if lo == k.Lo && uint16(about) == k.Hi {
			return i, Found{sl, about, sl.load(), sl.mark.Load()}
		}
		if lo == 0 {
			return 0, Found{}
		}
	}
}

// start returns where the search for k begins in a block that has slots: at its home,
// or at the next slot if it is not there. Most records are at one of these, and
// nobody can foresee at which.
func (b *block) start(k Key) uint {
	i := b.home(k)
	return i + differ(b.slots[i].lo.Load(), k.Lo)
}

// differ returns 0 if a is b, and else 1, without a branch.
func differ(a, b uint64) uint {
	d := a ^ b
	return uint((d | -d) >> 63)
}

// insert writes r into a free slot and returns that. For readers there is nothing
// until the last step, so they need not look again.
func (b *block) insert(k Key, r *Record) *slot {
	sl := b.vacant(k)
	sl.write(k, r)
	return sl
}

// vacant returns the first free slot from the home of k on.
func (b *block) vacant(k Key) *slot {
	i := b.home(k)
	for b.slots[i].lo.Load() != 0 {
		i = b.next(i)
	}
	return &b.slots[i]
}

// take moves all records from old, which is of no use after that.
func (b *block) take(old *block) {
	for i := range old.len() {
		if from := &old.slots[i]; from.load() != 0 {
			b.vacant(from.key()).move(from)
		}
	}
}

// fill closes the gap at i, whose record has gone.
func (b *block) fill(i uint) {
	for j := b.next(i); b.slots[j].lo.Load() != 0; j = b.next(j) {
		// The record at j may fill the gap at i unless its home lies behind the
		// gap.
		if b.distance(b.home(b.slots[j].key()), j) >= b.distance(i, j) {
			b.slots[i].move(&b.slots[j])
			i = j
		}
	}
	b.slots[i].lo.Store(0)
}

// distance returns how many slots to is behind from.
func (b *block) distance(from, to uint) uint {
	if to < from {
		to += uint(len(b.slots))
	}
	return to - from
}
