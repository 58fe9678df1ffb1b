package table

import (
	"math"
	"slices"
)

// This file makes room for new records: a sweep reclaims what is not live, and an eviction
// removes a live record if the table is full.

const (
	// sweepStep is how many slots are looked at for each new record, to reclaim what has
	// ended. Any number above 1 keeps up with the new records. With this one, if records
	// come and expire at a steady rate, a fifth more are held than are live.
	sweepStep = 8

	// An eviction looks at evictWindow slots and chooses the victims that end first. Half
	// of all that is evicted is then among the oldest 4 % of the table, and 99 of a
	// hundred are among the oldest 21 %. A table with one shard is looked at whole, for one
	// victim at a time, so that it evicts exactly the record that ends first.
	evictWindow = 128
	maxVictims  = 4

	// batches is how many batches of new records fill the table: see Recent.
	batches = 32
)

// added notes that there is a new record in s. If that fills a batch, it advances Table.recent to
// the time at which the batch began, unless that is later already because of another shard.
// Called with s locked.
func (t *Table) added(s *shard, now int64) {
	if s.batch++; s.batch*batches*len(t.shards) < int(t.capacity) {
		return
	}
	for was := t.recent.Load(); was < s.began && !t.recent.CompareAndSwap(was, s.began); {
		was = t.recent.Load()
	}
	s.began, s.batch = now, 0
}

// Recent returns a time since which new records have come in for between one and two 32nds of
// the capacity. A record that was used since then is among the last to be evicted in any
// case, so its expiry may lag behind as if that time had been its last use.
func (t *Table) Recent() int64 { return t.recent.Load() }

// sweep removes what is not live from the next few slots. Called with s locked.
func (t *Table) sweep(s *shard, now int64) {
	b := s.block.Load()
	until, dying := now, t.owner.Dying()
	if dying {
		until = math.MaxInt64 // look at all: a dead ref may have any expiry
	}
	for left := min(sweepStep, b.len()); ; left-- {
		if s.hand, left = b.ending(s.hand, left, t.limit, until); left == 0 {
			return
		}
		sl := &b.slots[s.hand]
		l := sl.load()
		dead := now >= l.end(t.limit) || dying && !t.owner.Alive(sl.ref())
		if dead && t.remove(s, s.hand, l) {
			t.count.Add(-1)
			continue // the gap was closed, so this slot may hold another record
		}
		s.hand = b.next(s.hand)
	}
}

// A victim is a record that was chosen to make room.
type victim struct {
	at   uint  // its slot
	life life  // as it was then
	end  int64 // of that life
}

// evict removes the least valuable of some records of s: one that is not live, or else the
// one that ends first. It reports false if all slots that it looked at were free, or if all
// the victims were touched or moved since they were chosen: then the caller may try again. As
// with remove, the record still counts in t.count. Called with s locked.
func (t *Table) evict(s *shard, now int64) bool {
	if len(s.victims) == 0 {
		t.choose(s, now)
	}
	// A victim that was moved or touched since it was chosen is spared: its slot has
	// another life, or a record that ends when it did, which is as good a victim. The slot
	// still exists, since blocks only grow.
	for len(s.victims) > 0 {
		v := s.victims[0]
		s.victims = slices.Delete(s.victims, 0, 1) // not s.victims[1:], which would lose capacity
		live := t.live(&s.block.Load().slots[v.at], v.life, now)
		if t.remove(s, v.at, v.life) {
			if live {
				s.evicted++
			}
			return true
		}
	}
	return false
}

// choose fills s.victims, which is empty, with the next victims, the first to go first. Called
// with s locked.
func (t *Table) choose(s *shard, now int64) {
	b := s.block.Load()
	window, most := min(evictWindow, b.len()), maxVictims
	if len(t.shards) == 1 {
		window, most = b.len(), 1
	}
	dying := t.owner.Dying()
	latest := int64(math.MaxInt64) // a record that ends later is not chosen
	for left := window; ; left-- {
		until := latest
		if dying {
			until = math.MaxInt64
		}
		if s.hand, left = b.ending(s.hand, left, t.limit, until); left == 0 {
			return
		}
		i := s.hand
		s.hand = b.next(i)
		l := b.slots[i].load()
		v := victim{i, l, l.end(t.limit)}
		if now >= v.end || dying && !t.owner.Alive(b.slots[i].ref()) {
			s.victims = append(s.victims[:0], v)
			return
		}
		if v.end > latest {
			continue
		}
		if len(s.victims) == most {
			s.victims = s.victims[:most-1]
		}
		s.victims = append(s.victims, v)
		for j := len(s.victims) - 1; j > 0 && s.victims[j-1].end > v.end; j-- {
			s.victims[j-1], s.victims[j] = v, s.victims[j-1]
		}
		if len(s.victims) == most {
			latest = s.victims[most-1].end
		}
	}
}

// Evict removes a record that is among the least valuable. It may remove none, and not only
// if there is none: see evict.
func (t *Table) Evict(now int64) {
	start := t.turn.Add(1)
	for i := range t.shards {
		s := &t.shards[(uint(start)+uint(i))%uint(len(t.shards))]
		s.mu.Lock()
		had := s.used > 0
		if t.evict(s, now) {
			t.count.Add(-1)
		}
		s.mu.Unlock()
		if had {
			return
		}
	}
}

// Evicted returns how many live records were evicted since New.
func (t *Table) Evicted() (n uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.evicted
		s.mu.Unlock()
	}
	return n
}
