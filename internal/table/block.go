package table

import (
	"math/bits"
	"sync/atomic"
)

// A slot has room for a record, in half a cache line. All bits of its four words are in use, so
// nothing can be added to a record. write and move write the words, close frees the slot, and all
// others only swap the life. All of that needs the shard's lock, with one exception: anybody
// may lengthen a life that is not 0.
type slot struct {
	lo    atomic.Uint64 // Key.Lo; 0 if the slot is free
	life  atomic.Uint64 // a life; 0 if the slot is free or being written
	ident atomic.Uint64 // see identOf; of the last record, if the slot is free
	mark  atomic.Uint64
}

// identOf packs what stays the same for a record as long as it is in the table: from the
// top, 24 bits of ref, 24 of stamp and 16 of Key.Hi. Thanks to the stamp, it differs between
// all records of a shard, present and past (see stampBits).
func identOf(k Key, ref, stamp uint32) uint64 {
	return uint64(ref)<<(stampBits+hiBits) | uint64(stamp)<<hiBits | uint64(k.Hi)
}

// refOf and stampOf unpack what identOf has packed.
func refOf(ident uint64) uint32   { return uint32(ident >> (stampBits + hiBits)) }
func stampOf(ident uint64) uint32 { return uint32(ident >> hiBits & (1<<stampBits - 1)) }

func (sl *slot) found() Found { return Found{sl, sl.ident.Load(), sl.load(), sl.mark.Load()} }

func (sl *slot) load() life { return life(sl.life.Load()) }

func (sl *slot) swap(was, l life) bool { return sl.life.CompareAndSwap(uint64(was), uint64(l)) }

func (sl *slot) key() Key { return Key{uint16(sl.ident.Load()), sl.lo.Load()} }

func (sl *slot) ref() uint32 { return refOf(sl.ident.Load()) }

// write puts a record into a slot whose life is 0. The life comes last: until then, readers
// find no record here.
func (sl *slot) write(k Key, r *Record) {
	sl.lo.Store(k.Lo)
	sl.ident.Store(identOf(k, r.Ref, r.Stamp))
	sl.mark.Store(r.Mark)
	sl.life.Store(uint64(lifeOf(r.Expires, r.Leases)))
}

// replace overwrites the record in the slot with another one of the same key, if its life is
// still l. Otherwise the record was touched since the caller looked, and replace reports
// false. Readers look again while the life is 0.
func (sl *slot) replace(l life, k Key, r *Record) bool {
	if !sl.swap(l, 0) {
		return false
	}
	sl.write(k, r)
	return true
}

// move moves the record of from into sl, whose life must be 0. It takes the life of from
// first, so that whoever is about to lengthen that fails, and looks for the record again.
func (sl *slot) move(from *slot) {
	l := from.life.Swap(0)
	sl.lo.Store(from.lo.Load())
	sl.ident.Store(from.ident.Load())
	sl.mark.Store(from.mark.Load())
	sl.life.Store(l)
}

// A block is a hash table: a circle of slots, in which each record is at the home of its key or
// after it, with no free slot in between. Some slots are always free. The number of slots is
// even, and so are homes, so that most records are in the cache line where the search for them
// begins.
//
// Readers need no lock. Writers must hold that of the shard. A nil block has no slots.
type block struct{ slots []slot }

func newBlock(n int) *block { return &block{make([]slot, n)} }

// len returns the number of slots.
func (b *block) len() int {
	if b == nil {
		return 0
	}
	return len(b.slots)
}

// home returns the slot where the search for k begins: Lo as a fraction of 2^64, times the
// number of slots. So the number need not be a power of two, and homes keep their order
// when it changes.
func (b *block) home(k Key) uint {
	i, _ := bits.Mul64(k.Lo, uint64(len(b.slots)))
	return uint(i) &^ 1
}

// next returns the slot after i.
func (b *block) next(i uint) uint {
	if i++; i < uint(len(b.slots)) {
		return i
	}
	return 0
}

// ending looks at n slots from i on for a record that ends no later than until. It returns
// the slot of the first such record, and how many of the n are left from there on, itself
// included; or the slot after the n, and 0. limit is how much leases lengthen a life.
//
// Per slot it branches on nothing but the result: which slots are free and which records
// have leases would be hard to predict. So it does not call life.end, but computes the same
// without branches.
func (b *block) ending(i uint, n int, limit, until int64) (at uint, left int) {
	for n > 0 {
		some := b.slots[i:min(i+uint(n), uint(len(b.slots)))]
		for j := range some {
			l := some[j].load()
			leased := int64(l&MaxLeases+MaxLeases) >> leaseBits // 1 if there are leases, else 0
			end := int64(l>>expiryShift) + limit&-leased
			if uint64(end)-1 < uint64(until) { // false if the slot is free: its end is 0
				return i + uint(j), n - j
			}
		}
		n -= len(some)
		i = (i + uint(len(some))) % uint(len(b.slots))
	}
	return i, 0
}

// find returns the index of the slot that has the record of k, and the record, which may have
// ended. If there is none, the Found is zero. A caller without the shard's lock may miss a
// record that is being moved, and must ask whether what it has found Holds.
func (b *block) find(k Key) (uint, Found) {
	if b == nil {
		return 0, Found{}
	}
	for i := b.start(k); ; i = b.next(i) {
		sl := &b.slots[i]
		ident := sl.ident.Load() // before the rest, so that Holds vouches for that
		lo := sl.lo.Load()
		if lo == k.Lo && uint16(ident) == k.Hi {
			return i, Found{sl, ident, sl.load(), sl.mark.Load()}
		}
		if lo == 0 {
			return 0, Found{}
		}
	}
}

// start returns where to begin the search for k, in a block that has slots: at its home, or
// at the slot after that if another record is at home. Most records are at one of these, and
// at which would be hard to predict for a branch.
func (b *block) start(k Key) uint {
	i := b.home(k)
	return i + differ(b.slots[i].lo.Load(), k.Lo)
}

// differ returns 0 if a equals b, and 1 otherwise, without a branch.
func differ(a, b uint64) uint {
	d := a ^ b
	return uint((d | -d) >> 63)
}

// vacant returns the first free slot from the home of k on.
func (b *block) vacant(k Key) *slot {
	i := b.home(k)
	for b.slots[i].lo.Load() != 0 {
		i = b.next(i)
	}
	return &b.slots[i]
}

// moveAll moves all records of old to b, which has room for them and which no reader knows
// yet. Readers that are still in old find each record where it was, but with a life of 0. So
// they look again, until they get b from the shard.
func (b *block) moveAll(old *block) {
	for i := range old.len() {
		if from := &old.slots[i]; from.load() != 0 {
			b.vacant(from.key()).move(from)
		}
	}
}

// close closes the gap that a record has left at i: it moves later records into the
// gap, and frees the slot that is left over. The shard's seq must be odd meanwhile.
func (b *block) close(i uint) {
	for j := b.next(i); b.slots[j].lo.Load() != 0; j = b.next(j) {
		// The record at j may fill the gap at i unless its home comes after the gap. Distances
		// to j from slots after it wrap around zero, and are the longer ones on the circle, too.
		if j-b.home(b.slots[j].key()) >= j-i {
			b.slots[i].move(&b.slots[j])
			i = j
		}
	}
	b.slots[i].lo.Store(0)
}
