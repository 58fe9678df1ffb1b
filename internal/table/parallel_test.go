package table_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/table"
)

// steps is how often an actor acts.
func steps(n int) int {
	if raceEnabled || testing.Short() {
		return n / 8
	}
	return n
}

// long leaves a test out with -short, and under the race detector: it would take twenty times
// as long, and all of it is in one goroutine.
func long(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("long, and of one goroutine")
	}
}

// together runs all actors at once, several of each kind if so named, and
// waits for them. They begin as close to each other as can be.
func together(actors ...func(r *rand.Rand)) {
	var ready atomic.Int32
	var wg sync.WaitGroup
	for i, act := range actors {
		wg.Go(func() {
			ready.Add(1)
			for spin := 0; int(ready.Load()) < len(actors); spin++ {
				if spin > 1000 || runtime.GOMAXPROCS(0) < len(actors) {
					runtime.Gosched()
				}
			}
			act(rand.New(rand.NewPCG(7, uint64(i))))
		})
	}
	wg.Wait()
}

// ledger is an Owner that counts the records of every ref.
type ledger struct {
	t    *testing.T
	held []atomic.Int64
	dead []atomic.Bool
}

func newLedger(t *testing.T, refs int) *ledger {
	return &ledger{t, make([]atomic.Int64, refs), make([]atomic.Bool, refs)}
}

func (l *ledger) Dying() bool           { return true }
func (l *ledger) Alive(ref uint32) bool { return !l.dead[ref].Load() }

func (l *ledger) Release(ref uint32) {
	if l.held[ref].Add(-1) < 0 {
		l.t.Error("released more often than stored")
	}
}

// set is Table.Set with the books kept: a record counts from before it is
// stored.
func (l *ledger) set(tab *table.Table, k table.Key, stamp uint32, r table.Record, now int64) (table.Record, bool) {
	l.held[r.Ref].Add(1)
	got, ok := tab.Put(k, stamp, r, now)
	if !ok {
		l.held[r.Ref].Add(-1)
	}
	return got, ok
}

// settle checks that the books and the table agree, and that nothing is left
// when the table is cleared.
func (l *ledger) settle(tab *table.Table) {
	want := make([]int64, len(l.held))
	for _, r := range contents(l.t, tab) {
		want[r.Ref]++
	}
	for ref := range l.held {
		require.Equal(l.t, want[ref], l.held[ref].Load(), "records of ref %d", ref)
	}
	tab.Clear()
	require.Empty(l.t, contents(l.t, tab))
	for ref := range l.held {
		require.Zero(l.t, l.held[ref].Load(), "records of ref %d", ref)
	}
}

// Whatever goes on, a reader sees under a key only what was stored under it,
// with all parts of one record.
func TestParallelReadersSeeWhatWasStored(t *testing.T) {
	for _, size := range []struct {
		name           string
		keys, capacity int
		crowded        bool // all keys have few homes, so that much moves
	}{
		{"small and full", 64, 40, true},
		{"small with room", 64, 100, true},
		{"big and full", 2000, 1100, false},
		{"big with room", 2000, 1 << 15, false},
	} {
		t.Run(size.name, func(t *testing.T) {
			const kinds = 8 // of refs that each key has; the last dies, and the one before it is dead
			l := newLedger(t, size.keys*kinds)
			tab := table.New(size.capacity, limit, l)
			key := func(i int) table.Key {
				if size.crowded {
					return awkward(i)
				}
				return keyOf(uint64(i))
			}
			for i := range size.keys {
				l.dead[i*kinds+kinds-2].Store(true)
			}
			mark := func(i int, ref uint32, expires int64) uint64 {
				return mix(uint64(i)<<32|uint64(ref)) ^ uint64(expires&1)
			}
			var clock atomic.Int64
			clock.Store(1)
			check := func(i int, r table.Record, now int64) {
				if int(r.Ref)/kinds != i || r.Stamp == 0 || r.Expires <= now {
					t.Errorf("key %d has %+v at %d", i, r, now)
				}
				if r.Mark != mark(i, r.Ref, 0) && r.Mark != mark(i, r.Ref, 1) {
					t.Errorf("key %d has parts of two records: %+v", i, r)
				}
			}
			n := steps(40_000)
			reader := func(r *rand.Rand) {
				for range n {
					i, now := r.IntN(size.keys), clock.Load()
					k := key(i)
					got, h, ok := tab.Look(k, now)
					if !ok {
						continue
					}
					check(i, got, now)
					if r.IntN(2) == 0 {
						tab.Touch(k, h, now+1+int64(r.IntN(2000)), 0, false)
					}
				}
			}
			setter := func(r *rand.Rand) {
				for range n {
					i, now := r.IntN(size.keys), clock.Load()
					var stamp uint32
					if got, _, ok := tab.Look(key(i), now); ok && r.IntN(2) == 0 {
						stamp = got.Stamp
					}
					rec := table.Record{Expires: now + 1 + int64(r.IntN(2000)), Ref: uint32(i*kinds + r.IntN(kinds))}
					rec.Mark = mark(i, rec.Ref, rec.Expires)
					if got, _ := l.set(tab, key(i), stamp, rec, now); got.Stamp != 0 {
						check(i, got, now)
					}
				}
			}
			deleter := func(r *rand.Rand) {
				for range n / 4 {
					tab.Delete(key(r.IntN(size.keys)), table.Any, clock.Load())
				}
			}
			sweeper := func(r *rand.Rand) { // and all that is seldom
				for range n / 100 {
					now := clock.Add(int64(r.IntN(200)))
					seen := map[table.Key]bool{}
					tab.Each(now, func(k table.Key, got table.Record) bool {
						if seen[k] || k != key(int(got.Ref)/kinds) {
							t.Errorf("All yields %x with %+v", k, got)
						}
						seen[k] = true
						check(int(got.Ref)/kinds, got, now)
						return true
					})
					l.dead[r.IntN(size.keys)*kinds+kinds-1].Store(true)
					if held := tab.Len(); held > size.capacity {
						t.Errorf("%d records", held)
					}
					if r.IntN(20) == 0 {
						tab.Clear()
					}
				}
			}
			together(reader, setter, reader, deleter, setter, sweeper)
			l.settle(tab)
		})
	}
}

// A key that is bound all the time is found all the time, while the record is
// replaced and its ref dies, other records come and go around it, and
// the shard grows.
func TestParallelReadersAlwaysFindWhatIsAlwaysThere(t *testing.T) {
	n := steps(100_000)
	l := newLedger(t, n+2)
	tab := table.New(400, limit, l)
	k := awkward(0)
	const now = 100
	first, _ := l.set(tab, k, 0, table.Record{Expires: 1000, Ref: 1}, now)
	var done atomic.Bool
	reader := func(*rand.Rand) {
		last := first.Ref
		for !done.Load() {
			r, h, ok := tab.Look(k, now)
			if !ok || r.Ref < last {
				t.Errorf("found %+v, %v, after %d", r, ok, last)
				return
			}
			last = r.Ref
			tab.Touch(k, h, r.Expires+1, 0, false)
		}
	}
	replacer := func(*rand.Rand) {
		defer done.Store(true)
		r, ok := first, true
		for ref := uint32(2); int(ref) < n; ref++ {
			was := r
			if r, ok = l.set(tab, k, was.Stamp, table.Record{Expires: 1000, Ref: ref}, now); !ok {
				t.Errorf("not stored over %+v: %+v", was, r)
				return
			}
			l.dead[was.Ref].Store(true)
		}
	}
	neighbour := func(r *rand.Rand) {
		for i := 0; !done.Load(); i++ {
			other := awkward(4 + r.IntN(80)*4) // its home is the same
			if i%3 == 0 {
				tab.Delete(other, table.Any, now)
			} else {
				l.set(tab, other, 0, table.Record{Expires: now + int64(r.IntN(2)), Ref: 0}, now)
			}
		}
	}
	together(reader, replacer, neighbour, reader)
	l.settle(tab)
}

// The same, each time a shard grows.
func TestParallelReadersFindWhatGrowthMoves(t *testing.T) {
	k := awkward(0)
	for range steps(2500) {
		tab := table.New(200, limit, immortal{})
		tab.Put(k, 0, table.Record{Expires: 1000}, 1)
		var done atomic.Bool
		together(func(*rand.Rand) {
			defer done.Store(true)
			for i := range 150 {
				tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: 1000}, 1)
			}
		}, func(*rand.Rand) {
			for !done.Load() {
				if _, _, ok := tab.Look(k, 1); !ok {
					t.Error("not found")
					return
				}
			}
		})
	}
}

// Readers that meet a record while it is stored see all of it or none.
func TestParallelReadersMeetNewRecords(t *testing.T) {
	n := steps(1_000_000)
	tab := table.New(100, limit, immortal{})
	k := awkward(0)
	var done atomic.Bool
	together(func(*rand.Rand) {
		defer done.Store(true)
		for i := range n {
			tab.Put(k, 0, table.Record{Expires: 1000 + int64(i), Ref: uint32(i), Mark: uint64(i)}, 1)
			tab.Delete(k, table.Any, 1)
		}
	}, func(*rand.Rand) {
		last := uint32(0)
		for !done.Load() {
			r, _, ok := tab.Look(k, 1)
			if ok && (uint64(r.Ref) != r.Mark || r.Expires != 1000+int64(r.Ref) || r.Ref < last) {
				t.Errorf("found %+v after %d", r, last)
				return
			}
			last = max(last, r.Ref)
		}
	})
}

// A refresh that was made is not lost, whatever a writer is about to do
// with the record, which it may have seen before, when it had expired.
func TestParallelRefreshIsNotLost(t *testing.T) {
	const before, after, later = 99, 101, 1000
	k, first := awkward(4), awkward(0) // of one home
	fill := func(tab *table.Table, n int) {
		for i := range n {
			tab.Put(awkward(4*(i+2)), 0, table.Record{Expires: 500}, before)
		}
	}
	for _, tt := range []struct {
		name     string
		capacity int
		others   int
		write    func(tab *table.Table) bool
		check    func(t *testing.T, touched, wrote, found bool)
	}{
		{"a new binding takes the place of an expired one", 100, 0, func(tab *table.Table) bool {
			_, ok := tab.Put(k, 0, table.Record{Expires: 600, Ref: 2}, after)
			return ok
		}, func(t *testing.T, touched, wrote, found bool) {
			require.NotEqual(t, touched, wrote, "either it was refreshed or it was replaced")
			require.Equal(t, touched, found)
		}},
		{"inserts sweep", 100, 5, func(tab *table.Table) bool {
			for i := range 5 {
				tab.Put(awkward(4*(i+50)), 0, table.Record{Expires: 600}, after)
			}
			return true
		}, func(t *testing.T, touched, _, found bool) {
			require.Equal(t, touched, found)
		}},
		{"an insert evicts", 6, 4, func(tab *table.Table) bool {
			_, ok := tab.Put(awkward(401), 0, table.Record{Expires: 600}, after)
			return ok
		}, func(t *testing.T, touched, wrote, found bool) {
			require.True(t, wrote)
			require.Equal(t, touched, found)
		}},
		{"it moves when a record before it is deleted", 100, 3, func(tab *table.Table) bool {
			return tab.Delete(first, table.Any, before)
		}, func(t *testing.T, _, wrote, found bool) {
			require.True(t, wrote)
			require.True(t, found)
		}},
		{"it moves when the shard grows", 100, 4, func(tab *table.Table) bool {
			_, ok := tab.Put(awkward(401), 0, table.Record{Expires: 600}, before)
			return ok
		}, func(t *testing.T, _, wrote, found bool) {
			require.True(t, wrote)
			require.True(t, found)
		}},
		{"it is deleted", 100, 3, func(tab *table.Table) bool {
			return tab.Delete(k, table.Any, before)
		}, func(t *testing.T, _, wrote, found bool) {
			require.True(t, wrote)
			require.False(t, found)
		}},
		{"the table is cleared", 100, 3, func(tab *table.Table) bool {
			tab.Clear()
			return true
		}, func(t *testing.T, _, _, found bool) {
			require.False(t, found)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outcomes := map[bool]int{}
			for round := range steps(8_000) {
				tab := table.New(tt.capacity, limit, immortal{})
				tab.Put(first, 0, table.Record{Expires: 500}, before)
				was, _ := tab.Put(k, 0, table.Record{Expires: 100, Ref: 1}, before)
				fill(tab, tt.others)
				_, h, ok := tab.Look(k, before)
				require.True(t, ok)

				// One begins a little later, so that they meet at every point.
				var touched, wrote bool
				pause := func(n int) {
					for range n {
						_ = tab.Len()
					}
				}
				actors := []func(*rand.Rand){func(*rand.Rand) {
					pause(round >> 1 & 63)
					expires, _ := tab.Touch(k, h, later, 0, false)
					touched = expires == later
				}, func(*rand.Rand) {
					pause(round >> 7 & 31)
					wrote = tt.write(tab)
				}}
				together(actors[round&1], actors[1-(round&1)])

				r, _, found := tab.Look(k, before)
				found = found && r.Ref == 1
				tt.check(t, touched, wrote, found)
				if found {
					require.Equal(t, was.Stamp, r.Stamp)
					if touched {
						require.EqualValues(t, later, r.Expires)
					} else {
						require.EqualValues(t, 100, r.Expires)
					}
				}
				contents(t, tab)
				outcomes[touched]++
			}
			t.Logf("refreshed %d times, too late %d times", outcomes[true], outcomes[false])
		})
	}
}

// Of threads that use one record at once, none loses what another has done: it never expires
// before what one was told, and has as many leases as were taken.
func TestParallelTouchesAreNotLost(t *testing.T) {
	const most = table.MaxLeases - 2 // at more, leases are not taken
	tab := table.New(10, limit, immortal{})
	k := keyOf(1)
	tab.Put(k, 0, table.Record{Expires: 1000}, 1)
	f, _ := tab.Get(k, 1)
	var clock atomic.Int64
	clock.Store(1000)
	n := 400_000 // they have to meet within nanoseconds
	if raceEnabled {
		n /= 4
	}
	user := func(*rand.Rand) {
		held := 0
		for range n {
			if held == most/3 {
				for ; held > 0; held-- {
					tab.End(k, f, true, 0, 0, 1)
				}
			}
			expires := clock.Add(1)
			told, leased := tab.Touch(k, f, expires, 0, true)
			now, _ := tab.Get(k, 1)
			if told < expires || now.Expires() < told || !leased || now.Leases() == 0 {
				t.Errorf("told of %d, %t, for %d, and has %d, %d", told, leased, expires, now.Expires(), now.Leases())
				return
			}
			held++
		}
		for ; held > 0; held-- {
			tab.End(k, f, true, 0, 0, 1)
		}
	}
	together(user, user, user)
	require.Zero(t, contents(t, tab)[k].Leases)
}

// Every lease that was taken can be ended, whatever moves the record meanwhile,
// and as long as it has not been, the record is there.
func TestParallelLeasesAreCounted(t *testing.T) {
	const keys, now, end = 4, 1000, 1001
	tab := table.New(600, 1<<40, immortal{})
	var stamps [keys]uint32
	for i := range keys {
		r, _ := tab.Put(awkward(4*i), 0, table.Record{Expires: end}, 1)
		stamps[i] = r.Stamp
	}
	var clock atomic.Int64 // so that no two lives are the same
	clock.Store(end)
	var busy atomic.Int32
	n := steps(40_000)
	user := func(r *rand.Rand) {
		defer busy.Add(-1)
		var held []int
		for range n {
			i := r.IntN(keys)
			k := awkward(4 * i)
			if len(held) > r.IntN(8) {
				i = held[0]
				tab.EndLease(awkward(4*i), stamps[i], 0, now)
				held = held[1:]
				continue
			}
			got, h, ok := tab.Look(k, now)
			if !ok || got.Stamp != stamps[i] {
				t.Error("not found")
				return
			}
			if _, leased := tab.Touch(k, h, clock.Add(1), 0, true); leased {
				held = append(held, i)
			}
		}
		for _, i := range held {
			if r, _, ok := tab.Look(awkward(4*i), 1<<39); !ok || r.Leases == 0 {
				t.Errorf("leased, and yet %+v, %v", r, ok)
			}
			tab.EndLease(awkward(4*i), stamps[i], 0, now)
		}
	}
	churn := func(r *rand.Rand) {
		for busy.Load() > 0 {
			k := awkward(4 * (keys + r.IntN(200)))
			if _, ok := tab.Put(k, 0, table.Record{Expires: now + 1 + int64(r.IntN(2))}, now); !ok {
				tab.Delete(k, table.Any, now)
			}
		}
	}
	busy.Store(3)
	together(user, churn, user, user, churn)
	for i := range keys {
		require.Zero(t, contents(t, tab)[awkward(4*i)].Leases)
	}
}

// Of any number of writers that find no record, one stores, and all learn
// which: when there was none, when it has expired, and when its ref has died.
func TestParallelSetHasOneWinner(t *testing.T) {
	const now, writers = 100, 4
	for round := range steps(8000) {
		l := newLedger(t, writers+1)
		tab := table.New(1+round%3, limit, l)
		k := keyOf(uint64(round))
		switch round % 4 {
		case 1:
			l.set(tab, k, 0, table.Record{Expires: now, Ref: writers}, 1)
		case 2:
			l.set(tab, k, 0, table.Record{Expires: now + 1, Ref: writers}, 1)
			l.dead[writers].Store(true)
		case 3:
			l.set(tab, keyOf(1<<40), 0, table.Record{Expires: now + 1, Ref: writers}, 1)
		}
		var won [writers]bool
		var got [writers]table.Record
		actors := make([]func(*rand.Rand), writers)
		for i := range actors {
			actors[i] = func(*rand.Rand) {
				got[i], won[i] = l.set(tab, k, 0, table.Record{Expires: 200, Ref: uint32(i)}, now)
			}
		}
		together(actors...)
		winners := 0
		for i := range writers {
			require.Equal(t, got[0], got[i], "all learn the same")
			if won[i] {
				winners++
				require.EqualValues(t, i, got[i].Ref)
			}
		}
		require.Equal(t, 1, winners)
		l.settle(tab)
	}
}

// A stamp is good for one Set: no write is lost between two that build on each
// other.
func TestParallelStampsCount(t *testing.T) {
	const now, keys = 100, 3
	l := newLedger(t, 1)
	tab := table.New(50, limit, l)
	for i := range keys {
		l.set(tab, awkward(4*i), 0, table.Record{Expires: 200}, now)
	}
	var stored [keys]atomic.Uint64
	n := steps(20_000)
	add := func(r *rand.Rand) {
		for range n {
			i := r.IntN(keys)
			k := awkward(4 * i)
			was, _, ok := tab.Look(k, now)
			if !ok {
				t.Error("not found")
				return
			}
			if _, ok := l.set(tab, k, was.Stamp, table.Record{Expires: 200, Mark: was.Mark + 1}, now); ok {
				stored[i].Add(1)
			}
		}
	}
	churn := func(r *rand.Rand) {
		for range n {
			k := awkward(4 * (keys + r.IntN(20)))
			if _, ok := l.set(tab, k, 0, table.Record{Expires: 200}, now); !ok {
				tab.Delete(k, table.Any, now)
			}
		}
	}
	together(add, add, churn)
	for i := range keys {
		r, _, _ := tab.Look(awkward(4*i), now)
		require.Equal(t, stored[i].Load(), r.Mark)
	}
	l.settle(tab)
}

// Writers are many, and mostly room is little. Every one of them gets its record in,
// and at no time are there more than the capacity.
func TestParallelCapacity(t *testing.T) {
	for _, capacity := range []int{1, 2, 5, 512, 1024, 1 << 20} {
		const writers = 16
		l := newLedger(t, 1)
		tab := table.New(capacity, limit, l)
		n := steps(4000)
		var actors []func(*rand.Rand)
		for w := range writers {
			actors = append(actors, func(*rand.Rand) {
				for i := range n {
					k := keyOf(uint64(w*n + i))
					if i%7 == 0 {
						k.Hi &= 1<<8 - 1 // all in one shard
					}
					if _, ok := l.set(tab, k, 0, table.Record{Expires: 1000 + int64(i)}, 1); !ok {
						t.Error("not stored")
					}
					for range 4 { // whatever the others are about
						if held := tab.Len(); held > capacity {
							t.Errorf("%d records, capacity is %d", held, capacity)
							return
						}
					}
				}
			})
		}
		together(actors...)
		require.Equal(t, min(capacity, writers*n), tab.Len())
		l.settle(tab)
	}
}
