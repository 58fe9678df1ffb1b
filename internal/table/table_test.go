package table_test

import (
	"container/list"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/table"
)

// owner is an Owner whose methods a test may replace. It counts what it is told.
type owner struct {
	alive    func(ref uint32) bool
	released []uint32
}

func (o *owner) Dying() bool           { return o.alive != nil }
func (o *owner) Alive(ref uint32) bool { return o.alive(ref) } // asked only while some are dying
func (o *owner) Release(ref uint32)    { o.released = append(o.released, ref) }

func contents(t *testing.T, tab *table.Table) map[table.Key]table.Record {
	t.Helper()
	records, err := tab.Contents()
	require.NoError(t, err)
	return records
}

func TestSetNeedsTheRightStamp(t *testing.T) {
	const now = 100
	live := table.Record{Expires: 200, Ref: 1, Mark: 11}
	expired := table.Record{Expires: 100, Ref: 2, Mark: 22}
	dead := table.Record{Expires: 200, Ref: 666, Mark: 33}
	const none, right, wrong, either = 0, 1, 2, 3
	for _, tt := range []struct {
		name   string
		there  *table.Record
		stamp  int
		stored bool
	}{
		{"no record, stamp 0", nil, none, true},
		{"no record, some stamp", nil, wrong, false},
		{"a live record, stamp 0", &live, none, false},
		{"a live record, its stamp", &live, right, true},
		{"a live record, another stamp", &live, wrong, false},
		{"an expired record is none, stamp 0", &expired, none, true},
		{"an expired record is none, its stamp", &expired, right, false},
		{"a record whose ref is dead is none, stamp 0", &dead, none, true},
		{"a record whose ref is dead is none, its stamp", &dead, right, false},
		{"no record, any stamp", nil, either, true},
		{"a live record, any stamp", &live, either, true},
		{"an expired record, any stamp", &expired, either, true},
		{"a record whose ref is dead, any stamp", &dead, either, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &owner{alive: func(ref uint32) bool { return ref != 666 }}
			tab := table.New(10, limit, o)
			k := keyOf(1)
			stamps := []uint32{none: 0, right: 0, wrong: 12345, either: table.Any}
			var there table.Record
			if tt.there != nil {
				var ok bool
				there, ok = tab.Put(k, 0, *tt.there, 1)
				require.True(t, ok)
				stamps[right] = there.Stamp
			}
			r := table.Record{Expires: 300, Ref: 3, Mark: 44}
			got, stored := tab.Put(k, stamps[tt.stamp], r, now)
			require.Equal(t, tt.stored, stored)

			found, _, ok := tab.Look(k, now)
			require.Equal(t, got.Stamp != 0, ok)
			require.Equal(t, found, got, "the record that is there afterwards")
			if stored {
				r.Stamp = got.Stamp
				require.Equal(t, r, got)
				require.NotEqual(t, there.Stamp, got.Stamp)
			}
			if stored && tt.there != nil {
				require.Equal(t, []uint32{tt.there.Ref}, o.released, "what it replaces, once")
			} else {
				require.Empty(t, o.released)
			}
			contents(t, tab)
		})
	}
}

func TestRecordLivesWhileNowIsBeforeItsExpiry(t *testing.T) {
	tab := table.New(10, limit, &owner{})
	tab.Put(keyOf(1), 0, table.Record{Expires: 100}, 1)
	for _, tt := range []struct {
		now  int64
		live bool
	}{{0, true}, {1, true}, {99, true}, {100, false}, {101, false}, {math.MaxInt64, false}} {
		_, _, ok := tab.Look(keyOf(1), tt.now)
		require.Equal(t, tt.live, ok, "at %d", tt.now)
	}
	tab.Put(keyOf(2), 0, table.Record{Expires: math.MaxInt64}, 1)
	_, _, ok := tab.Look(keyOf(2), math.MaxInt64-1)
	require.True(t, ok)
}

// touched makes the expiry of the record that h points at slide, takes no lease,
// and reports whether the record expires then.
func touched(tab *table.Table, k table.Key, h table.Found, expires int64) bool {
	got, _ := tab.Touch(k, h, expires, 0, false)
	return got == expires
}

func TestUntouch(t *testing.T) {
	k := keyOf(1)
	for name, tt := range map[string]struct {
		between func(tab *table.Table, r table.Record)
		want    int64
	}{
		"at once": {nil, 200},
		"touched since": {func(tab *table.Table, _ table.Record) {
			_, h, _ := tab.Look(k, 100)
			tab.Touch(k, h, 400, 0, false)
		}, 400},
		"leased since": {func(tab *table.Table, _ table.Record) {
			_, h, _ := tab.Look(k, 100)
			tab.Touch(k, h, 300, 10, true)
		}, 300},
		"replaced since": {func(tab *table.Table, r table.Record) {
			tab.Put(k, r.Stamp, table.Record{Expires: 300}, 100)
		}, 300},
		"gone": {func(tab *table.Table, _ table.Record) { tab.Delete(k, table.Any, 100) }, 0},
		"leased since, and served at the same instant": {func(tab *table.Table, r table.Record) {
			_, h, _ := tab.Look(k, 100)
			tab.Touch(k, h, 300, 0, true)
			tab.EndLease(k, r.Stamp, 300, 100)
			tab.Touch(k, h, 300, 0, true)
			tab.EndLease(k, r.Stamp, 0, 100)
		}, 300},
		"leased since, and served before": {func(tab *table.Table, r table.Record) {
			_, h, _ := tab.Look(k, 100)
			tab.Touch(k, h, 300, 0, true)
			tab.EndLease(k, r.Stamp, 299, 100)
		}, 200},
		"leased since, and given up": {func(tab *table.Table, r table.Record) {
			_, h, _ := tab.Look(k, 100)
			tab.Touch(k, h, 300, 0, true)
			tab.EndLease(k, r.Stamp, 0, 100)
		}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			tab := table.New(100, limit, &owner{})
			tab.Put(k, 0, table.Record{Expires: 200}, 1)
			r, h, ok := tab.Look(k, 100)
			require.True(t, ok)
			tab.Touch(k, h, 300, 0, false)
			if tt.between != nil {
				tt.between(tab, r)
			}
			tab.Untouch(k, h, 300, 200)
			got, _, _ := tab.Look(k, 100)
			require.Equal(t, tt.want, got.Expires)
		})
	}
}

// That a use has ended well says nothing of later ones.
func TestUntouchAfterAnotherUse(t *testing.T) {
	k := keyOf(1)
	tab := table.New(100, limit, &owner{})
	r, _ := tab.Put(k, 0, table.Record{Expires: 100, Leases: 1}, 1)
	tab.EndLease(k, r.Stamp, 200, 1)
	_, h, _ := tab.Look(k, 100)
	tab.Touch(k, h, 300, 0, false)
	tab.Untouch(k, h, 300, 200)
	require.EqualValues(t, 200, contents(t, tab)[k].Expires)
}

// What a record tells of its uses: what is taken back changes nothing, and what ends well counts,
// with a lease or without.
func TestUsed(t *testing.T) {
	k := keyOf(1)
	tab := table.New(100, limit, &owner{})
	tab.Put(k, 0, table.Record{Expires: 100}, 1)
	found := func() table.Found {
		_, h, _ := tab.Look(k, 1)
		return h
	}
	require.False(t, found().Used(), "stored")
	tab.Touch(k, found(), 200, 0, false)
	require.False(t, found().Used(), "touched")
	tab.End(k, found(), false, 300, 0, 1)
	before := found()
	require.True(t, before.Used(), "ended")
	tab.Touch(k, before, 400, 0, true)
	require.True(t, found().Used(), "leased")
	tab.End(k, before, true, 0, 0, 1)
	require.False(t, found().Used(), "given up")
	require.True(t, tab.Untouch(k, before, 400, 300))
	require.True(t, found().Used(), "and taken back")
}

func TestShorten(t *testing.T) {
	k := keyOf(1)
	tab := table.New(100, limit, &owner{})
	tab.Put(k, 0, table.Record{Expires: 200}, 1)
	r, h, _ := tab.Look(k, 100)
	tab.Touch(k, h, 300, 0, true)
	expires := func() int64 {
		got, _, _ := tab.Look(k, 100)
		require.Equal(t, 1, got.Leases)
		return got.Expires
	}
	tab.Shorten(k, r.Stamp, 301)
	require.EqualValues(t, 300, expires(), "it ends before that anyway")
	tab.Shorten(k, r.Stamp+1, 150)
	require.EqualValues(t, 300, expires(), "another record's stamp")
	tab.Shorten(k, r.Stamp, 150)
	require.EqualValues(t, 150, expires())
	tab.End(k, h, true, 400, 0, 100)
	got, _, _ := tab.Look(k, 100)
	require.EqualValues(t, 400, got.Expires, "the lease was good")
	require.Zero(t, got.Leases)
}

func TestTouch(t *testing.T) {
	k := keyOf(1)
	for _, tt := range []struct {
		name    string
		between func(tab *table.Table, r table.Record)
		expires int64
		want    int64 // without a lease: who takes one writes, so the expiry follows
	}{
		{"later", nil, 300, 300},
		{"never back", nil, 189, 200},
		{"just now", nil, 210, 200},
		{"not so just now", nil, 211, 211},
		{"touched by another meanwhile", func(tab *table.Table, _ table.Record) {
			_, h, _ := tab.Look(k, 100)
			touched(tab, k, h, 250)
		}, 300, 300},
		{"touched by another just now", func(tab *table.Table, _ table.Record) {
			_, h, _ := tab.Look(k, 100)
			touched(tab, k, h, 295)
		}, 300, 295},
		{"touched by another that is ahead", func(tab *table.Table, _ table.Record) {
			_, h, _ := tab.Look(k, 100)
			touched(tab, k, h, 305)
		}, 300, 305},
		{"deleted meanwhile", func(tab *table.Table, _ table.Record) { tab.Delete(k, table.Any, 100) }, 300, 0},
		{"replaced meanwhile", func(tab *table.Table, r table.Record) {
			tab.Put(k, r.Stamp, table.Record{Expires: 200}, 100)
		}, 300, 0},
		{"cleared meanwhile", func(tab *table.Table, _ table.Record) { tab.Clear() }, 300, 0},
		{"deleted and stored again meanwhile", func(tab *table.Table, _ table.Record) {
			tab.Delete(k, table.Any, 100)
			tab.Put(k, 0, table.Record{Expires: 200}, 100)
		}, 300, 0},
		{"moved by growth meanwhile", func(tab *table.Table, _ table.Record) {
			for i := range 20 {
				tab.Put(keyOf(uint64(i+10)), 0, table.Record{Expires: 500}, 100)
			}
		}, 300, 300},
	} {
		for _, lease := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/lease=%t", tt.name, lease), func(t *testing.T) {
				tab := table.New(100, limit, &owner{})
				tab.Put(k, 0, table.Record{Expires: 200}, 1)
				r, h, ok := tab.Look(k, 100)
				require.True(t, ok)
				if tt.between != nil {
					tt.between(tab, r)
				}
				before := contents(t, tab)
				expires, leased := tab.Touch(k, h, tt.expires, 10, lease)
				want := tt.want
				if lease && want != 0 {
					want = max(want, tt.expires)
				}
				require.Equal(t, want, expires)
				require.Equal(t, lease && want != 0, leased)
				if r, ok := before[k]; ok && want != 0 {
					r.Expires = expires
					if leased {
						r.Leases++
					}
					before[k] = r
				}
				require.Equal(t, before, contents(t, tab))
			})
		}
	}
}

// What Touch has done to a record that was moved just then is either part of that record, or
// has to be done again.
func TestTouchOfWhatIsMovedJustThen(t *testing.T) {
	for name, tt := range map[string]struct {
		r       table.Record // as it was moved
		leased  bool
		expires int64
		leases  int
	}{
		"moved afterwards":              {table.Record{Expires: 300, Leases: 1}, true, 300, 1},
		"moved afterwards, and touched": {table.Record{Expires: 400, Leases: 2}, true, 400, 2},
		"moved before":                  {table.Record{Expires: 200}, true, 300, 1},
		"moved before, and has as many leases as can be": {
			table.Record{Expires: 200, Leases: table.MaxLeases}, false, 300, table.MaxLeases},
		"gone": {},
	} {
		t.Run(name, func(t *testing.T) {
			tab := table.New(10, limit, &owner{})
			k := keyOf(1)
			was, _ := tab.Put(k, 0, tt.r, 1)
			expires, leased := tab.TouchMoved(k, max(1, was.Stamp), 300, true)
			require.Equal(t, tt.expires, expires)
			require.Equal(t, tt.leased, leased)
			r := contents(t, tab)[k]
			require.Equal(t, tt.expires, r.Expires)
			require.Equal(t, tt.leases, r.Leases)
		})
	}
}

// A Touch that meets another record instead, since that has taken the place of its own just
// then, notices. (If it did not, no number of calls would be enough. As it is, some thousands
// are, or on one processor some millions.)
func TestTouchOfWhatGoesJustThen(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // on one processor, the system interrupts it anywhere
	tab, k := table.New(10, limit, &owner{}), keyOf(1)
	r, _ := tab.Put(k, 0, table.Record{Expires: 1}, 1)
	require.True(t, tab.TouchWhatGoes(k, r.Stamp, 1<<27))
}

// Leases keep a record past its expiry, up to the limit.
func TestLeases(t *testing.T) {
	const limit = 50
	k := keyOf(1)
	live := func(tab *table.Table, now int64) bool {
		_, _, ok := tab.Look(k, now)
		return ok
	}
	lease := func(tab *table.Table, now, expires int64) bool {
		_, h, ok := tab.Look(k, now)
		require.True(t, ok)
		_, leased := tab.Touch(k, h, expires, 0, true)
		return leased
	}
	fresh := func(leases int) (*table.Table, table.Record) {
		tab := table.New(10, limit, &owner{})
		r, ok := tab.Put(k, 0, table.Record{Expires: 100, Leases: leases}, 1)
		require.True(t, ok)
		require.Equal(t, leases, r.Leases)
		return tab, r
	}

	tab, r := fresh(0)
	require.False(t, live(tab, 100))
	require.True(t, lease(tab, 1, 110))
	require.True(t, live(tab, 110), "a lease")
	require.True(t, live(tab, 110+limit-1))
	require.False(t, live(tab, 110+limit), "forgotten")
	tab.EndLease(k, r.Stamp, 0, 20)
	require.True(t, live(tab, 109))
	require.False(t, live(tab, 110), "the lease has ended")

	tab, r = fresh(1)
	require.True(t, lease(tab, 120, 125), "it is live after its expiry")
	tab.EndLease(k, r.Stamp, 300, 130)
	require.True(t, live(tab, 300), "one is left")
	tab.EndLease(k, r.Stamp, 290, 310)
	require.False(t, live(tab, 310), "none is left, and the expiry never slides back")
	require.True(t, live(tab, 299))

	tab, r = fresh(1)
	tab.EndLease(k, r.Stamp, 300, 100+limit)
	require.False(t, live(tab, 100+limit), "it does not come back to life")

	tab, r = fresh(1)
	tab.EndLease(k, r.Stamp+1, 300, 50)
	require.Equal(t, r, contents(t, tab)[k], "another stamp")
	tab.EndLease(keyOf(2), r.Stamp, 300, 50)
	require.Equal(t, r, contents(t, tab)[k], "another key")
	tab.EndLease(k, r.Stamp, 200, 50)
	tab.EndLease(k, r.Stamp, 300, 50)
	r.Expires, r.Leases = 200, 0
	require.Equal(t, r, contents(t, tab)[k], "no lease, no slide")
}

func TestLeasesAreCountedUpToAPoint(t *testing.T) {
	tab := table.New(10, limit, &owner{})
	k := keyOf(1)
	first, _ := tab.Put(k, 0, table.Record{Expires: 100}, 1)
	for i := range table.MaxLeases + 10 {
		_, h, _ := tab.Look(k, 1)
		expires, leased := tab.Touch(k, h, int64(101+i), 0, true)
		require.EqualValues(t, 101+i, expires)
		require.Equal(t, i < table.MaxLeases, leased)
	}
	for range table.MaxLeases + 10 {
		tab.EndLease(k, first.Stamp, 0, 1)
	}
	r, _, _ := tab.Look(k, 1)
	require.Equal(t, table.MaxLeases, r.Leases, "how many there were is not known")
	r, _ = tab.Put(k, r.Stamp, table.Record{Expires: 100, Leases: 1000}, 1)
	require.Equal(t, table.MaxLeases, r.Leases)
}

// A record that is used all the time has a few leases, and is then let be, as
// long as its users agree on the time to within the gap.
func TestLeasesOfARecordInUseAllTheTime(t *testing.T) {
	const few, gap = table.MaxLeases - 1, 10
	k := keyOf(1)
	for _, tt := range []struct {
		expires int64
		leases  int
	}{
		{1000 - gap - 1, table.MaxLeases},
		{1000 - gap, few},
		{1000, few},
		{1000 + gap, few},
	} {
		tab := table.New(10, limit, &owner{})
		tab.Put(k, 0, table.Record{Expires: 1000}, 1)
		for range 40 {
			_, h, ok := tab.Look(k, 1)
			require.True(t, ok)
			tab.Touch(k, h, tt.expires, gap, true)
		}
		r, _, _ := tab.Look(k, 1)
		require.Equal(t, tt.leases, r.Leases, "at %d", tt.expires)
		require.EqualValues(t, max(1000, tt.expires), r.Expires)
	}
}

// A replacement may keep the expiry of what it replaces, whatever that has come
// to meanwhile, and has leases of its own.
func TestReplacementMayKeepTheExpiry(t *testing.T) {
	tab := table.New(10, limit, &owner{})
	k := keyOf(1)
	r, _ := tab.Put(k, 0, table.Record{Expires: 100, Leases: 3, Ref: 1}, 1)
	_, h, _ := tab.Look(k, 1)
	require.True(t, touched(tab, k, h, 200))
	moved, ok := tab.Put(k, r.Stamp, table.Record{Leases: 1, Ref: 2}, 1)
	require.True(t, ok)
	require.Equal(t, table.Record{Expires: 200, Leases: 1, Ref: 2, Stamp: moved.Stamp}, moved)
	require.Equal(t, moved, contents(t, tab)[k])
	tab.EndLease(k, r.Stamp, 300, 1)
	require.Equal(t, moved, contents(t, tab)[k], "the lease was on what has been replaced")

	for _, stamp := range []uint32{0, moved.Stamp, table.Any} {
		_, ok = tab.Put(keyOf(2), stamp, table.Record{Ref: 3}, 1)
		require.False(t, ok, "there is none to replace")
	}
	require.Len(t, contents(t, tab), 1)
}

// There is no expiry that a table cannot hold: it says what becomes of it.
func TestExpiryFarAway(t *testing.T) {
	tab := table.New(10, math.MaxInt64, &owner{})
	const years9 = 1<<58 - 1
	for i, tt := range []struct{ expires, want int64 }{
		{years9 - 1, years9 - 1},
		{years9, math.MaxInt64},
		{1 << 60, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64},
	} {
		k := keyOf(uint64(i))
		r, _ := tab.Put(k, 0, table.Record{Expires: tt.expires, Leases: 1 - i%2}, 1)
		require.Equal(t, tt.want, r.Expires)
		got, h, ok := tab.Look(k, tt.want-1)
		require.True(t, ok)
		require.Equal(t, r, got)
		_, _, ok = tab.Look(k, tt.want)
		require.Equal(t, i == 0, ok, "by its lease")
		expires, _ := tab.Touch(k, h, math.MaxInt64, 0, true)
		require.Equal(t, int64(math.MaxInt64), expires)
		require.True(t, tab.Delete(k, table.Any, math.MaxInt64-1), "its leases do not take it beyond the end of time")
	}
}

// No part of a record runs over into another, however large it is.
func TestLargestRecord(t *testing.T) {
	tab := table.New(10, limit, &owner{})
	k := table.Key{Hi: math.MaxUint16, Lo: math.MaxUint64}
	tab.SetStamp(k, table.Any-2)
	want := table.Record{Expires: 1<<58 - 2, Leases: table.MaxLeases, Ref: table.MaxRef, Stamp: table.Any - 1, Mark: math.MaxUint64}
	got, ok := tab.Put(k, 0, want, 1)
	require.True(t, ok)
	require.Equal(t, want, got)
	require.Equal(t, want, contents(t, tab)[k])
	require.Equal(t, 1<<24-1, table.MaxRef, "all the bits that the stamp and Key.Hi leave")
}

// What is leased is not in the way of an eviction or a sweep when its expiry
// is over, but when its limit is.
func TestEvictionAndSweepsSpareWhatIsLeased(t *testing.T) {
	const limit = 1000
	o := &owner{}
	tab := table.New(3, limit, o)
	tab.Put(keyOf(1), 0, table.Record{Expires: 100, Ref: 1, Leases: 1}, 1)
	tab.Put(keyOf(2), 0, table.Record{Expires: 200, Ref: 2}, 1)
	tab.Put(keyOf(3), 0, table.Record{Expires: 300, Ref: 3}, 1)
	for i, first := range []uint32{2, 3, 4} {
		tab.Put(keyOf(uint64(4+i)), 0, table.Record{Expires: int64(1000 + i), Ref: uint32(4 + i)}, 150)
		require.Equal(t, first, o.released[len(o.released)-1])
	}
	tab.Put(keyOf(7), 0, table.Record{Expires: 2000, Ref: 7}, 150)
	require.Equal(t, []uint32{2, 3, 4, 5}, o.released)
	tab.Put(keyOf(8), 0, table.Record{Expires: 2000, Ref: 8}, 1100)
	require.Contains(t, o.released, uint32(1), "now it is over")

	o = &owner{}
	tab = table.New(511, limit, o)
	for i := range 200 {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: 10, Leases: i % 2, Ref: uint32(i)}, 1)
	}
	for i := range tab.Slots() {
		tab.Put(keyOf(1000+uint64(i)), 0, table.Record{Expires: 5000, Ref: 1000}, 10)
	}
	require.Len(t, o.released, 100)
	for _, ref := range o.released {
		require.Zero(t, ref%2)
	}
}

func TestDeleteNeedsTheRightStamp(t *testing.T) {
	o := &owner{alive: func(ref uint32) bool { return ref != 666 }}
	tab := table.New(10, limit, o)
	k := keyOf(1)
	require.False(t, tab.Delete(k, table.Any, 1), "no record")

	r, _ := tab.Put(k, 0, table.Record{Expires: 200, Ref: 1}, 1)
	require.False(t, tab.Delete(k, r.Stamp+1, 1), "another stamp")
	require.Empty(t, o.released)
	require.True(t, tab.Delete(k, r.Stamp, 1), "its stamp")
	require.Equal(t, []uint32{1}, o.released)
	require.Zero(t, tab.Len())

	tab.Put(k, 0, table.Record{Expires: 200, Ref: 2}, 1)
	require.True(t, tab.Delete(k, table.Any, 1), "any stamp")

	tab.Put(k, 0, table.Record{Expires: 200, Ref: 3}, 1)
	require.False(t, tab.Delete(k, table.Any, 200), "expired: removed, but there was no live one")
	require.Zero(t, tab.Len())

	tab.Put(k, 0, table.Record{Expires: 200, Ref: 666}, 1)
	require.False(t, tab.Delete(k, table.Any, 1), "dead: removed, but there was no live one")
	require.Equal(t, []uint32{1, 2, 3, 666}, o.released)
}

// An Owner forgets a ref when its last record leaves. Delete has asked before.
func TestDeleteOfTheLastRecordOfARef(t *testing.T) {
	o := &owner{}
	o.alive = func(uint32) bool { return len(o.released) == 0 }
	tab := table.New(10, limit, o)
	tab.Put(keyOf(1), 0, table.Record{Expires: 200, Ref: 1}, 1)
	require.True(t, tab.Delete(keyOf(1), table.Any, 1))
}

func TestStampsAreNeverZero(t *testing.T) {
	tab := table.New(10, limit, &owner{})
	k := keyOf(1)
	const last = table.Any - 1
	tab.SetStamp(k, last-2)
	var stamp uint32
	for _, want := range []uint32{last - 1, last, 1, 2} {
		r, ok := tab.Put(k, stamp, table.Record{Expires: 10}, 1)
		require.True(t, ok)
		require.Equal(t, want, r.Stamp)
		stamp = r.Stamp
	}
}

func TestCapacityIsNeverExceeded(t *testing.T) {
	require.Panics(t, func() { table.New(0, limit, &owner{}) })
	require.Panics(t, func() { table.New(-1, limit, &owner{}) })
	for _, capacity := range []int{1, 2, 7, 511, 512, 3000} {
		o := &owner{}
		tab := table.New(capacity, limit, o)
		for i := range 3 * capacity {
			_, ok := tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(1000 + i), Ref: uint32(i)}, 1)
			require.True(t, ok)
			require.Equal(t, min(i+1, capacity), tab.Len())
			require.Len(t, o.released, i+1-tab.Len())
		}
		contents(t, tab)
	}
}

// A table that is full of records of one shard makes room in it for the first
// record of another.
func TestEvictionFromAnotherShard(t *testing.T) {
	const capacity = 600
	tab := table.New(capacity, limit, &owner{})
	require.Greater(t, tab.Shards(), 1)
	var other table.Key
	for i, n := uint64(0), 0; n < capacity; i++ {
		if k := keyOf(i); tab.ShardOf(k) == 0 {
			tab.Put(k, 0, table.Record{Expires: 1000}, 1)
			n++
		} else {
			other = k
		}
	}
	require.Equal(t, capacity, tab.Len())
	_, ok := tab.Put(other, 0, table.Record{Expires: 1000}, 1)
	require.True(t, ok)
	_, _, ok = tab.Look(other, 1)
	require.True(t, ok)
	require.Len(t, contents(t, tab), capacity)
}

func TestSmallTableEvictsWhatIsDeadAndThenWhatExpiresFirst(t *testing.T) {
	dead := map[uint32]bool{}
	o := &owner{alive: func(ref uint32) bool { return !dead[ref] }}
	const capacity = 511
	tab := table.New(capacity, limit, o)
	require.Equal(t, 1, tab.Shards())
	const now = 50
	expires := func(ref uint64) int64 { return 1000 + int64(mix(ref)%1_000_000) }
	var fresh uint64
	set := func() []uint32 {
		o.released = o.released[:0]
		fresh++
		_, ok := tab.Put(keyOf(1_000_000+fresh), 0, table.Record{Expires: 1 << 40, Ref: uint32(1_000_000 + fresh)}, now)
		require.True(t, ok)
		return o.released
	}
	for i := range capacity {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: expires(uint64(i)), Ref: uint32(i)}, 1)
	}

	// The dead ones go first, whenever they expire.
	for _, ref := range []uint32{3, 77, 400} {
		dead[ref] = true
		require.Equal(t, []uint32{ref}, set())
	}

	// Then, one after the other, whichever expires first.
	last := int64(0)
	for range 200 {
		left := set()
		require.Len(t, left, 1)
		e := expires(uint64(left[0]))
		require.Greater(t, e, last)
		last = e
	}
	for k, r := range contents(t, tab) {
		require.Greater(t, r.Expires, last, "key %x", k)
	}
}

func TestBigTableEvictsFromAmongTheOldest(t *testing.T) {
	long(t)
	const capacity = 1 << 14
	o := &owner{}
	tab := table.New(capacity, limit, o)
	for i := range capacity {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(1000 + i), Ref: uint32(i)}, 1)
	}
	// A quarter is replaced. The most recent half loses nothing, and of what
	// goes, nearly all is from the oldest third.
	const n = capacity / 4
	for i := capacity; i < capacity+n; i++ {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(1000 + i), Ref: uint32(i)}, 1)
	}
	require.Len(t, o.released, n)
	young := 0
	for _, ref := range o.released {
		require.Less(t, ref, uint32(capacity/2))
		if ref > capacity/3 {
			young++
		}
	}
	require.Less(t, young, n/50)
}

// lru is what a Table comes close to: it holds the most recently used, exactly.
type lru struct {
	capacity int
	order    *list.List
	at       map[int]*list.Element
}

func (l *lru) use(id int) (hit bool) {
	if e, ok := l.at[id]; ok {
		l.order.MoveToFront(e)
		return true
	}
	if len(l.at) == l.capacity {
		delete(l.at, l.order.Remove(l.order.Back()).(int))
	}
	l.at[id] = l.order.PushFront(id)
	return false
}

// Whichever sessions come how often, a full table keeps nearly as many of those that
// come again as one that knows exactly which were used last.
func TestEvictionKeepsWhatIsUsed(t *testing.T) {
	long(t)
	const capacity, steps = 2000, 60_000
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.01, 1, 10*capacity)
	for _, tt := range []struct {
		name string
		next func(i int) int
	}{
		{"all alike", func(int) int { return r.IntN(capacity * 13 / 10) }},
		{"Zipf", func(int) int { return int(zipf.Uint64()) }},
		{"no more than there is room for", func(i int) int { return i % capacity }},
		{"half of them never come again", func(i int) int { return i%2*r.IntN(capacity/10) + (1-i%2)*(capacity+i) }},
		{"a fifth of them, others by turns", func(i int) int { return max(i*4/5%(capacity*6/10), (i%5-3)*(capacity+i)) }},
	} {
		tab := table.New(capacity, limit, immortal{})
		exact := lru{capacity, list.New(), map[int]*list.Element{}}
		hits, want := 0, 0
		for i := range steps {
			id, now := tt.next(i), int64(i+1)
			if exact.use(id) {
				want++
			}
			if f, ok := tab.Get(keyOf(uint64(id)), now); ok {
				hits++
				tab.Touch(keyOf(uint64(id)), f, now+hour, 0, false)
			} else {
				tab.Put(keyOf(uint64(id)), 0, table.Record{Expires: now + hour}, now)
			}
		}
		require.Greater(t, want, steps/3, tt.name)
		require.InDelta(t, want, hits, steps/200, tt.name)
	}
}

// Evict takes turns with the shards, and finds the one that has a record.
func TestEvictGoesRound(t *testing.T) {
	tab := table.New(1<<10, limit, &owner{})
	require.Equal(t, 4, tab.Shards())
	for i := range uint64(4) {
		for shard := range 4 {
			tab.Put(table.Key{Hi: uint16(shard << 14), Lo: i<<62 + 1}, 0, table.Record{Expires: 1000}, 1) // none moves
		}
	}
	for left := 3; left >= 0; left-- {
		for range 4 {
			tab.Evict(1)
		}
		counts := map[int]int{}
		for k := range contents(t, tab) {
			counts[tab.ShardOf(k)]++
		}
		for shard := range 4 {
			require.Equal(t, left, counts[shard])
		}
	}
	for shard := range 4 {
		tab.Put(table.Key{Hi: uint16(shard << 14), Lo: 1}, 0, table.Record{Expires: 1000}, 1)
		tab.Evict(1)
		require.Zero(t, tab.Len())
	}
}

// Recent is when the batch before the latest began, of all shards the latest such time.
func TestRecent(t *testing.T) {
	const batch = 3
	tab := table.New(32*batch, limit, immortal{})
	for i := range 10 * batch {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: 1000}, int64(100+i))
		want := 0
		if full := (i + 1) / batch; full > 1 {
			want = 100 + (full-1)*batch - 1
		}
		require.EqualValues(t, want, tab.Recent(), "after %d", i)
	}
	tab = table.New(512, limit, immortal{}) // two shards, 8 to a batch
	require.Equal(t, 2, tab.Shards())
	put := func(shard, i int, now int64) {
		tab.Put(table.Key{Hi: uint16(shard << 15), Lo: uint64(i + 1)}, 0, table.Record{Expires: 1000}, now)
	}
	for i := range 16 {
		put(0, i, 200)
	}
	require.EqualValues(t, 200, tab.Recent())
	for i := range 16 {
		put(1, i, 150)
	}
	require.EqualValues(t, 200, tab.Recent(), "the other began later")
}

// What was to be evicted next is forgotten by Clear: its places are no more.
func TestEvictionAfterClear(t *testing.T) {
	const capacity = 1 << 10
	tab := table.New(capacity, limit, &owner{})
	fill := func(n int) {
		for i := range n {
			tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(1000 + i)}, 1)
		}
	}
	fill(capacity)
	tab.Evict(1) // one of some that were found
	tab.Clear()
	for fill(32); tab.Len() > 0; {
		tab.Evict(1)
	}
}

// New records reclaim expired and dead ones faster than they come, also while the table
// grows: when half as many have come as there were slots, none is left.
func TestSweepKeepsAheadOfInserts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		record func(i int) table.Record
		alive  func(ref uint32) bool
		grows  bool
	}{
		{"all have expired", func(int) table.Record { return table.Record{Expires: 10} }, nil, false},
		{"one in ten has expired", func(i int) table.Record { return table.Record{Expires: 1000 - 990*int64(i%10/9)} }, nil, true},
		{"one in ten is dead", func(i int) table.Record { return table.Record{Expires: 1000, Ref: uint32(i % 10 / 9)} },
			func(ref uint32) bool { return ref == 0 }, true},
	} {
		for _, old := range []int{20, 100, 150, 200, 300} {
			o := &owner{}
			tab := table.New(511, limit, o)
			for i := range old {
				tab.Put(keyOf(uint64(i)), 0, tt.record(i), 1)
			}
			o.alive = tt.alive
			slots := tab.Slots()
			for i := range slots / 2 {
				tab.Put(keyOf(uint64(1000+i)), 0, table.Record{Expires: 1000}, 10)
			}
			require.Equal(t, tt.grows, tab.Slots() > slots)
			for _, r := range contents(t, tab) {
				require.Equal(t, table.Record{Expires: 1000, Stamp: r.Stamp}, r, "%s, of %d", tt.name, old)
			}
		}
	}
}

func TestAllAllowsItsLoopToUseTheTable(t *testing.T) {
	tab := table.New(100, limit, &owner{})
	for i := range 50 {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: 10 + int64(i%2)}, 1)
	}
	n := 0
	tab.Each(10, func(k table.Key, r table.Record) bool {
		require.EqualValues(t, 11, r.Expires, "only live ones")
		require.True(t, tab.Delete(k, r.Stamp, 10))
		n++
		return true
	})
	require.Equal(t, 25, n)
	require.Equal(t, 25, tab.Len())
}

func TestGetAndTouchDoNotAllocate(t *testing.T) {
	tab := filled(1<<14, 10_000)
	now := int64(1)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now++
		_, h, ok := tab.Look(keyOf(uint64(now)), now)
		if expires, _ := tab.Touch(keyOf(uint64(now)), h, 2*hour+now, 0, true); !ok || expires != 2*hour+now {
			t.Error("not found and touched")
		}
		if _, _, ok := tab.Look(keyOf(1<<30), now); ok {
			t.Error("found what is not there")
		}
	}))
	r, _, _ := tab.Look(keyOf(5), now)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		r, _ = tab.Put(keyOf(5), r.Stamp, table.Record{Expires: 3 * hour}, now)
	}))
}

// A record takes at most 64 bytes, at every size from 10,000 on.
func TestMemory(t *testing.T) {
	long(t)
	require.EqualValues(t, 32, table.SlotSize, "half a cache line")
	const most = 1_000_000
	tab := table.New(1<<20, limit, immortal{})
	for i := range most {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: hour}, 1)
		if n := i + 1; n >= 10_000 && n%(n/50) == 0 {
			require.LessOrEqual(t, float64(tab.Bytes())/float64(n), 64.0, "at %d", n)
		}
	}
	tab.Clear()
	require.Less(t, tab.Bytes(), 64<<10)
}

// What has expired takes little beside what lives, where records come and expire at a
// steady rate.
func TestMemoryWhereRecordsExpire(t *testing.T) {
	long(t)
	const live = 50_000
	tab := table.New(8*live, limit, immortal{})
	most := 0
	for i := range 5 * live {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(i + live)}, int64(i)+1)
		most = max(most, tab.Len())
	}
	require.LessOrEqual(t, float64(most)/float64(live), 1.2)
}

// The tests below put an event into the middle of a call, by way of its
// questions to the Owner, or by what a call would have seen before.

// A record may be refreshed between a writer's look at its expiry and its
// removal. It then stays.
func TestRefreshWhileItIsChosenForEviction(t *testing.T) {
	var touch func()
	o := &owner{alive: func(ref uint32) bool {
		if ref == 1 && touch != nil {
			touch()
			touch = nil
		}
		return true
	}}
	tab := table.New(5, limit, o)
	for i := range 5 {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: int64(100 + i), Ref: uint32(i + 1)}, 1)
	}
	_, h, ok := tab.Look(keyOf(0), 1)
	require.True(t, ok)
	touch = func() { require.True(t, touched(tab, keyOf(0), h, 500)) }

	_, ok = tab.Put(keyOf(9), 0, table.Record{Expires: 600, Ref: 9}, 1)
	require.True(t, ok)
	require.Nil(t, touch)
	require.Equal(t, []uint32{2}, o.released, "the next one, now that the first is fresh")
	require.EqualValues(t, 500, contents(t, tab)[keyOf(0)].Expires)
}

func TestRefreshWhileItIsSwept(t *testing.T) {
	var h table.Found
	dead := false
	o := &owner{}
	tab := table.New(100, limit, o)
	o.alive = func(ref uint32) bool {
		if dead && ref == 1 {
			touched(tab, keyOf(0), h, 500) // takes the time that Alive needs
			return false
		}
		return true
	}
	tab.Put(keyOf(0), 0, table.Record{Expires: 100, Ref: 1}, 1)
	_, h, _ = tab.Look(keyOf(0), 1)
	dead = true
	for i := range 6 {
		tab.Put(keyOf(uint64(i+1)), 0, table.Record{Expires: 600, Ref: 2}, 1)
	}
	// The first sweep that came by left it alone; the next took it.
	require.Equal(t, []uint32{1}, o.released)
	require.NotContains(t, contents(t, tab), keyOf(0))
}

func TestRefreshWhileItIsDeleted(t *testing.T) {
	var h table.Found
	calls := 0
	o := &owner{}
	tab := table.New(100, limit, o)
	tab.Put(keyOf(0), 0, table.Record{Expires: 100, Ref: 1}, 1)
	_, h, _ = tab.Look(keyOf(0), 1)
	o.alive = func(uint32) bool {
		calls++
		touched(tab, keyOf(0), h, 500)
		return true
	}
	require.True(t, tab.Delete(keyOf(0), table.Any, 1))
	require.Equal(t, 2, calls, "looked again")
	require.Equal(t, []uint32{1}, o.released)
	require.Empty(t, contents(t, tab))
}

func TestRefreshWhileItIsSet(t *testing.T) {
	k := keyOf(0)
	o := &owner{}
	tab := table.New(100, limit, o)
	tab.Put(k, 0, table.Record{Expires: 100, Ref: 1}, 1)
	_, h, _ := tab.Look(k, 1)
	o.alive = func(uint32) bool {
		touched(tab, k, h, 500)
		return true
	}
	r, ok := tab.Put(k, table.Any, table.Record{Ref: 2}, 1)
	require.True(t, ok)
	require.EqualValues(t, 500, r.Expires)
	require.Equal(t, []uint32{1}, o.released)
	require.Equal(t, map[table.Key]table.Record{k: r}, contents(t, tab))
}

// What has expired may have been refreshed when a new record is about to take its place.
func TestRefreshWhileItIsReplaced(t *testing.T) {
	tab := table.New(100, limit, &owner{})
	tab.Put(keyOf(0), 0, table.Record{Expires: 100, Ref: 1}, 1)
	was, h, _ := tab.Look(keyOf(0), 99)
	require.True(t, touched(tab, keyOf(0), h, 500))

	require.False(t, tab.Replace(keyOf(0), 100, table.Record{Expires: 600, Ref: 2, Stamp: 77}))
	r, _, ok := tab.Look(keyOf(0), 101)
	require.True(t, ok)
	require.Equal(t, table.Record{Expires: 500, Ref: 1, Stamp: was.Stamp}, r)

	require.True(t, tab.Replace(keyOf(0), 500, table.Record{Expires: 600, Ref: 2, Stamp: 77}))
	r, _, _ = tab.Look(keyOf(0), 101)
	require.EqualValues(t, 2, r.Ref)
}

// A key that is bound all the time is found all the time: also by a reader
// that has seen a record which is replaced, and whose ref dies, before it has
// asked about the ref.
func TestGetOfWhatIsReplacedMeanwhile(t *testing.T) {
	dead := map[uint32]bool{}
	o := &owner{}
	tab := table.New(100, limit, o)
	k := keyOf(0)
	first, _ := tab.Put(k, 0, table.Record{Expires: 100, Ref: 1}, 1)
	o.alive = func(ref uint32) bool {
		if ref == 1 && !dead[1] {
			o.alive = func(ref uint32) bool { return !dead[ref] }
			_, ok := tab.Put(k, first.Stamp, table.Record{Expires: 200, Ref: 2}, 1)
			require.True(t, ok)
			dead[1] = true
		}
		return !dead[ref]
	}
	r, _, ok := tab.Look(k, 1)
	require.True(t, ok)
	require.EqualValues(t, 2, r.Ref)
}

// The same, when the record goes and another moves into its slot.
func TestGetOfWhatIsDeletedMeanwhile(t *testing.T) {
	o := &owner{}
	tab := table.New(100, limit, o)
	k := func(i uint64) table.Key { return table.Key{Hi: uint16(i), Lo: 1} } // all of one home
	for i := range uint64(4) {
		tab.Put(k(i), 0, table.Record{Expires: 100, Ref: uint32(i)}, 1)
	}
	var asked atomic.Bool
	o.alive = func(ref uint32) bool {
		if !asked.Swap(true) {
			tab.Delete(k(1), table.Any, 1)
		}
		return true
	}
	_, _, ok := tab.Look(k(1), 1)
	require.False(t, ok)

	asked.Store(false)
	o.alive = func(ref uint32) bool {
		if !asked.Swap(true) {
			tab.Delete(k(0), table.Any, 1)
		}
		return true
	}
	r, h, ok := tab.Look(k(3), 1)
	require.True(t, ok)
	require.EqualValues(t, 3, r.Ref)
	require.True(t, touched(tab, k(3), h, 200), "a handle of where it is now")
	require.EqualValues(t, 200, contents(t, tab)[k(3)].Expires)
}

// Readers do not wait for an Owner that takes its time over Release.
func TestGetWhileReleaseIsUnderWay(t *testing.T) {
	inside, proceed := make(chan bool), make(chan bool)
	tab := table.New(100, limit, slowOwner{inside, proceed})
	for i := range 3 {
		tab.Put(keyOf(uint64(i)), 0, table.Record{Expires: 100, Ref: uint32(i)}, 1)
	}
	done := make(chan bool)
	go func() {
		tab.Delete(keyOf(0), table.Any, 1)
		done <- true
	}()
	<-inside
	_, _, ok := tab.Look(keyOf(1), 1) // no lock, and nothing moves
	require.True(t, ok)
	_, _, ok = tab.Look(keyOf(0), 1)
	require.False(t, ok)
	proceed <- true
	<-done
	contents(t, tab)
}

type slowOwner struct{ inside, proceed chan bool }

func (slowOwner) Alive(uint32) bool { return true }
func (slowOwner) Dying() bool       { return false }
func (o slowOwner) Release(uint32) {
	o.inside <- true
	<-o.proceed
}

// Holds tells whether a record that was got is still there: a refresh leaves it,
// and nothing else does.
func TestHolds(t *testing.T) {
	t.Parallel()
	const now = 100
	for name, tt := range map[string]struct {
		change func(tab *table.Table, k table.Key, r table.Record, h table.Found)
		want   bool
	}{
		"nothing happened": {func(*table.Table, table.Key, table.Record, table.Found) {}, true},
		"refreshed":        {func(tab *table.Table, k table.Key, _ table.Record, h table.Found) { touched(tab, k, h, 500) }, true},
		"replaced by its like": {func(tab *table.Table, k table.Key, r table.Record, _ table.Found) {
			tab.Put(k, r.Stamp, r, now)
		}, false},
		"deleted": {func(tab *table.Table, k table.Key, _ table.Record, _ table.Found) { tab.Delete(k, table.Any, now) }, false},
		"deleted and set again": {func(tab *table.Table, k table.Key, r table.Record, _ table.Found) {
			tab.Delete(k, table.Any, now)
			tab.Put(k, 0, r, now)
		}, false},
		"cleared": {func(tab *table.Table, _ table.Key, _ table.Record, _ table.Found) { tab.Clear() }, false},
	} {
		tab := table.New(10, limit, &owner{})
		k := keyOf(1)
		_, ok := tab.Put(k, 0, table.Record{Expires: 200, Ref: 7}, now)
		require.True(t, ok)
		r, h, ok := tab.Look(k, now)
		require.True(t, ok)
		tt.change(tab, k, r, h)
		require.Equal(t, tt.want, h.Holds(), name)
	}
}
