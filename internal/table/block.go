package table

import (
	"math/bits"
	"sync/atomic"
)

// slot is a record in place.
type slot struct {
	hi, lo   atomic.Uint64
	life     atomic.Uint64 // a life; 0 marks the slot free
	refStamp atomic.Uint64
	mark     atomic.Uint64
}

func (sl *slot) found(l life) Found { return Found{sl, sl.refStamp.Load(), l, sl.mark.Load()} }

func (sl *slot) load() life { return life(sl.life.Load()) }

func (sl *slot) swap(was, l life) bool { return sl.life.CompareAndSwap(uint64(was), uint64(l)) }

func (sl *slot) is(k Key) bool { return sl.hi.Load() == k.Hi && sl.lo.Load() == k.Lo }

func (sl *slot) key() Key { return Key{sl.hi.Load(), sl.lo.Load()} }

func (sl *slot) ref() uint32 { return uint32(sl.refStamp.Load() >> 32) }

func (sl *slot) stamp() uint32 { return uint32(sl.refStamp.Load()) }

// write puts a record into a free slot, its life last: that makes it one.
func (sl *slot) write(k Key, r *Record) {
	sl.hi.Store(k.Hi)
	sl.lo.Store(k.Lo)
	sl.refStamp.Store(uint64(r.Ref)<<32 | uint64(r.Stamp))
	sl.mark.Store(r.Mark)
	sl.life.Store(uint64(r.life()))
}

// move takes the record out of from, its life first: whoever is about to
// lengthen that there fails and looks again.
func (sl *slot) move(from *slot) {
	l := from.life.Swap(0)
	sl.hi.Store(from.hi.Load())
	sl.lo.Store(from.lo.Load())
	sl.refStamp.Store(from.refStamp.Load())
	sl.mark.Store(from.mark.Load())
	sl.life.Store(l)
}

// A block is a hash table: a circle of slots, in which a record stands at the
// home of its key or behind it, with no free slot between.
//
// Beside each slot stands a tag: a byte of the key, or 0 if the slot is free. The
// tags of eight slots are looked at together, so that of all the slots behind the
// home hardly any is touched but the right one: the tags are many to a cache
// line, and a slot may be one in memory that is far away.
//
// Readers need no lock; writers must have one. Where records move, readers must be
// told: see [shard].
type block struct {
	slots []slot
	tags  []atomic.Uint64 // the lowest byte is that of the first of eight slots
}

// group is how many slots have their tags in one word.
const group = 8

// newBlock returns a block of n slots or a few more.
func newBlock(n int) *block {
	words := (n + group - 1) / group
	return &block{make([]slot, words*group), make([]atomic.Uint64, words)}
}

// len returns the number of slots. A nil block has none.
func (b *block) len() int {
	if b == nil {
		return 0
	}
	return len(b.slots)
}

// tag returns the tag of k: seven bits that neither shard nor home goes by.
func tag(k Key) uint64 { return k.Hi&0x7f | 0x80 }

// home returns where the search for k begins: Lo as a fraction of 2^64, times the
// number of slots. So that need not be a power of two, and homes keep their
// order when it changes.
func (b *block) home(k Key) int {
	i, _ := bits.Mul64(k.Lo, uint64(len(b.slots)))
	return int(i)
}

// wrap returns the slot i of a circle. i is less than twice round.
func (b *block) wrap(i int) int {
	if i >= len(b.slots) {
		i -= len(b.slots)
	}
	return i
}

// around returns the tags of slot i and the seven behind it.
func (b *block) around(i int) uint64 {
	word, shift := i/group, uint(i%group*8)
	after := word + 1
	if after == len(b.tags) {
		after = 0
	}
	return b.tags[word].Load()>>shift | b.tags[after].Load()<<(64-shift)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeros returns a word with the high bit set of each byte of w that is 0, and of
// some above the first of them.
func zeros(w uint64) uint64 { return (w - ones) &^ w & highs }

// find returns the place of k and its life at that moment, dead or not, or -1.
func (b *block) find(k Key) (int, life) {
	if b == nil {
		return -1, 0
	}
	same := tag(k) * ones
	i := b.home(k)
	for range b.tags {
		tags := b.around(i)
		free := zeros(tags)
		// Those that have the tag, up to the first slot that is free.
		for m := zeros(tags^same) &^ -(free & -free); m != 0; m &= m - 1 {
			at := b.wrap(i + bits.TrailingZeros64(m)/8)
			if sl := &b.slots[at]; sl.is(k) {
				l := sl.load()
				if l == 0 { // it is leaving
					return -1, 0
				}
				return at, l
			}
		}
		if free != 0 {
			return -1, 0
		}
		i = b.wrap(i + group)
	}
	return -1, 0
}

// insert writes r into a free slot, of which there must be one, and returns that.
// For readers the slot is free until the last step, so they need not look again.
func (b *block) insert(k Key, r *Record) *slot {
	i := b.vacant(k)
	b.slots[i].write(k, r)
	b.setTag(i, tag(k))
	return &b.slots[i]
}

// vacant returns the first free slot from the home of k on.
func (b *block) vacant(k Key) int {
	for i := b.home(k); ; i = b.wrap(i + group) {
		if free := zeros(b.around(i)); free != 0 {
			return b.wrap(i + bits.TrailingZeros64(free)/8)
		}
	}
}

func (b *block) setTag(i int, tag uint64) {
	word, shift := &b.tags[i/group], uint(i%group*8)
	word.Store(word.Load()&^(0xff<<shift) | tag<<shift)
}

// take moves all records from old, which is of no use after that.
func (b *block) take(old *block) {
	for i := range old.len() {
		from := &old.slots[i]
		if from.load() == 0 {
			continue
		}
		k := from.key()
		j := b.vacant(k)
		b.slots[j].move(from)
		b.setTag(j, tag(k))
	}
}

// fill closes the gap at i, whose record has gone.
func (b *block) fill(i int) {
	for j := b.wrap(i + 1); b.slots[j].load() != 0; j = b.wrap(j + 1) {
		// The record at j may fill the gap at i unless its home lies behind the
		// gap.
		k := b.slots[j].key()
		if b.distance(b.home(k), j) >= b.distance(i, j) {
			b.slots[i].move(&b.slots[j])
			b.setTag(i, tag(k))
			i = j
		}
	}
	b.setTag(i, 0)
}

// distance returns how many slots to is behind from.
func (b *block) distance(from, to int) int {
	if to < from {
		to += len(b.slots)
	}
	return to - from
}
