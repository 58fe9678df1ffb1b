package table_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/table"
)

// model is what a Table should do, in plain words: a map of all records that it
// holds, the dead ones among them. Each record has a ref of its own, so that
// Release tells which one has left. It is the Table's Owner.
type model struct {
	t        *testing.T
	tab      *table.Table
	capacity int

	held   map[table.Key]table.Record
	byRef  map[uint32]table.Key
	stamps map[table.Key]map[uint32]bool // that every key has had
	left   []uint32                      // released by the call under way

	refs  uint32         // given out
	fatal [groups]uint32 // refs of a group up to this one are dead
	now   int64
	seen  []stale // by earlier calls of get
}

const groups = 5

// stale is what was found, and the record that it was then.
type stale struct {
	found table.Found
	key   table.Key
	table.Record
}

func newModel(t *testing.T, capacity int) *model {
	m := &model{
		t: t, capacity: capacity, now: 1,
		held: map[table.Key]table.Record{}, byRef: map[uint32]table.Key{}, stamps: map[table.Key]map[uint32]bool{},
	}
	m.tab = table.New(capacity, limit, m)
	return m
}

func (m *model) Dying() bool           { return true }
func (m *model) Alive(ref uint32) bool { return ref > m.fatal[ref%groups] }

func (m *model) Release(ref uint32) { m.left = append(m.left, ref) }

// end is the instant at which r dies if its ref does not.
func end(r table.Record) int64 {
	if r.Leases > 0 {
		return r.Expires + limit
	}
	return r.Expires
}

func (m *model) live(r table.Record) bool { return m.now < end(r) && m.Alive(r.Ref) }

// gone takes in what the call under way has released: records that are held,
// each once. It returns how many of them were alive, and the last such.
func (m *model) gone() (alive int, last table.Record) {
	for _, ref := range m.left {
		k, ok := m.byRef[ref]
		require.True(m.t, ok, "record released that is not there")
		if r := m.held[k]; m.live(r) {
			alive++
			last = r
		}
		delete(m.held, k)
		delete(m.byRef, ref)
	}
	m.left = m.left[:0]
	return alive, last
}

func (m *model) get(k table.Key) bool {
	got, h, ok := m.tab.Look(k, m.now)
	want, held := m.held[k]
	if !held || !m.live(want) {
		require.False(m.t, ok)
		require.Zero(m.t, got)
		require.Zero(m.t, h)
		return false
	}
	require.True(m.t, ok)
	require.Equal(m.t, want, got)
	m.seen = append(m.seen, stale{h, k, got})
	return true
}

// touch uses what get has found, now or long ago.
func (m *model) touch(h stale, expires, gap int64, lease bool) {
	got, leased := m.tab.Touch(h.key, h.found, expires, gap, lease)
	r, held := m.held[h.key]
	if !held || r.Stamp != h.Stamp {
		require.Zero(m.t, got, "it has gone")
		require.False(m.t, leased)
		return
	}
	was := r
	justNow := expires <= was.Expires+gap && expires >= was.Expires-gap
	if lease && (!justNow || was.Leases < table.MaxLeases-1) && r.Leases < table.MaxLeases {
		r.Leases++
	}
	if !justNow || r.Leases > was.Leases {
		r.Expires = max(r.Expires, expires)
	}
	require.Equal(m.t, r.Expires, got)
	require.Equal(m.t, r.Leases > was.Leases, leased)
	m.held[h.key] = r
}

// end ends such a use.
func (m *model) end(h stale, leased bool, expires, gap int64) {
	m.tab.End(h.key, h.found, leased, expires, gap, m.now)
	r, held := m.held[h.key]
	if !held || r.Stamp != h.Stamp || m.now >= end(r) {
		return
	}
	switch {
	case !leased:
		if expires > r.Expires+gap {
			r.Expires = expires
		}
	case r.Leases > 0:
		r.Expires = max(r.Expires, expires)
		if r.Leases < table.MaxLeases {
			r.Leases--
		}
	}
	m.held[h.key] = r
}

func (m *model) set(k table.Key, stamp uint32, expires int64, leases int) {
	m.refs++
	r := table.Record{Expires: expires, Leases: leases, Ref: m.refs, Mark: mix(uint64(m.refs))}
	old, held := m.held[k]
	live := held && m.live(old)
	full, exact := len(m.held) == m.capacity, m.tab.Shards() == 1
	dead, first := 0, int64(math.MaxInt64)
	if full && exact && !held {
		for _, r := range m.held {
			if !m.live(r) {
				dead++
			}
			first = min(first, end(r))
		}
	}
	got, stored := m.tab.Put(k, stamp, r, m.now)

	switch {
	case live && stamp != table.Any && old.Stamp != stamp:
		require.False(m.t, stored)
		require.Equal(m.t, old, got)
		require.Empty(m.t, m.left)
		return
	case !live && stamp != table.Any && stamp != 0:
		require.False(m.t, stored)
		require.Zero(m.t, got)
		require.Empty(m.t, m.left)
		return
	}
	require.True(m.t, stored)
	r.Stamp = got.Stamp
	if r.Expires == 0 {
		r.Expires = old.Expires
	}
	require.Equal(m.t, r, got)
	require.NotZero(m.t, r.Stamp)
	if m.stamps[k] == nil {
		m.stamps[k] = map[uint32]bool{}
	}
	require.False(m.t, m.stamps[k][r.Stamp], "a stamp differs for every write of the key")
	m.stamps[k][r.Stamp] = true

	if held {
		require.Equal(m.t, []uint32{old.Ref}, m.left, "what was replaced, and nothing else")
		m.gone()
	} else {
		require.LessOrEqual(m.t, len(m.left), 1+table.SweepStep)
		room := len(m.left) > 0
		alive, victim := m.gone()
		switch {
		case !full:
			require.Zero(m.t, alive, "evicted while there was room")
		case alive == 0:
			require.True(m.t, room, "a full table makes room")
		default:
			require.Equal(m.t, 1, alive, "one record makes room for another")
			if exact {
				require.Zero(m.t, dead, "evicted while there were dead ones")
				require.Equal(m.t, first, end(victim), "the one that dies first")
			}
		}
	}
	m.held[k] = r
	m.byRef[r.Ref] = k
}

func (m *model) delete(k table.Key, stamp uint32) {
	r, held := m.held[k]
	ok := m.tab.Delete(k, stamp, m.now)
	if !held || stamp != table.Any && stamp != r.Stamp {
		require.False(m.t, ok)
		require.Empty(m.t, m.left)
		return
	}
	require.Equal(m.t, m.live(r), ok)
	require.Equal(m.t, []uint32{r.Ref}, m.left)
	m.gone()
}

func (m *model) clear() {
	m.tab.Clear()
	require.Len(m.t, m.left, len(m.held))
	m.gone()
	require.Empty(m.t, m.held)
}

func (m *model) all() {
	want := map[table.Key]table.Record{}
	for k, r := range m.held {
		if m.live(r) {
			want[k] = r
		}
	}
	got := map[table.Key]table.Record{}
	m.tab.Each(m.now, func(k table.Key, r table.Record) bool {
		require.NotContains(m.t, got, k)
		got[k] = r
		return true
	})
	require.Equal(m.t, want, got)

	n := 0
	m.tab.Each(m.now, func(table.Key, table.Record) bool { n++; return n < 3 })
	require.Equal(m.t, min(3, len(want)), n, "until yield returns false")
}

// check compares the model with all that the Table holds.
func (m *model) check() {
	require.Empty(m.t, m.left)
	got, err := m.tab.Contents()
	require.NoError(m.t, err)
	require.Equal(m.t, len(m.held), len(got))
	for k, r := range m.held {
		if got[k] != r {
			require.Equal(m.t, r, got[k], "key %x", k)
		}
	}
	require.Equal(m.t, len(m.held), m.tab.Len())
}

// awkward returns keys that crowd: half of them begin their search at the
// first slots or the last, so that they run on from the end to the start, and
// a third of them belong to the first shard.
func awkward(i int) table.Key {
	k := keyOf(uint64(i))
	switch i % 4 {
	case 0:
		k.Lo = uint64(i) + 1
	case 1:
		k.Lo = math.MaxUint64 - uint64(i)
	}
	if i%3 == 0 {
		k.Hi = uint16(i % 200)
	}
	return k
}

// run does what the bytes of tape say: three for each step.
func (m *model) run(keys int, tape []byte) {
	for ; len(tape) >= 3; tape = tape[3:] {
		k := awkward((int(tape[1])<<8 | int(tape[2])) % keys)
		arg := int64(tape[2])
		later := m.now + 1 + arg*arg
		lease := tape[1]%4 == 0
		leases := 0
		if lease {
			leases = int(tape[1] / 8)
		}
		switch op := tape[0] % 32; {
		case op < 7:
			m.set(k, 0, later, leases)
		case op < 9:
			m.set(k, table.Any, later, leases)
		case op < 11:
			m.set(k, m.held[k].Stamp, later, leases)
		case op < 12:
			if stamp := m.held[k].Stamp; stamp != 0 {
				m.set(k, stamp, 0, leases)
			}
		case op < 13:
			m.set(k, uint32(arg)+1, later, leases) // most likely not the stamp
		case op < 14:
			m.set(k, 0, m.now+1-arg%2, leases) // expires at once, or nearly
		case op < 16:
			m.get(k)
		case op < 20:
			if m.get(k) {
				m.touch(m.seen[len(m.seen)-1], later, arg%16*arg, lease)
			}
		case op < 22:
			if n := len(m.seen); n > 0 {
				m.touch(m.seen[int(tape[1])*n/256], later, arg%16*arg, lease)
			}
		case op < 24:
			if arg%8 == 0 {
				later = 0
			}
			if m.get(k) {
				m.end(m.seen[len(m.seen)-1], arg%4 > 0, later, arg%16*arg)
			}
			if n := len(m.seen); n > 0 {
				m.end(m.seen[int(tape[1])*n/256], arg%4 > 0, later, arg%16*arg)
			}
		case op < 26:
			m.delete(k, table.Any)
		case op < 27:
			m.delete(k, m.held[k].Stamp)
		case op < 28:
			m.delete(k, uint32(arg))
		case op < 29:
			m.all()
		case op < 30:
			m.now += arg
		case op < 31:
			switch tape[1] % 16 {
			case 0:
				m.now += arg * arg * arg
			case 1:
				m.now = max(1, m.now-arg) // threads do not agree on the time
			case 2:
				m.clear()
			default:
				m.now += arg
			}
		default:
			m.fatal[arg%groups] = m.refs
		}
		m.check()
	}
}

var capacities = []int{1, 2, 3, 4, 8, 9, 21, 64, 511, 512, 700}

// FuzzTable holds the Table against the model.
func FuzzTable(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range capacities {
		tape := make([]byte, 300)
		for i := range tape {
			tape[i] = byte(r.Uint32())
		}
		f.Add(uint8(i), uint16(capacities[i]), tape)
	}
	f.Fuzz(func(t *testing.T, capacity uint8, keys uint16, tape []byte) {
		m := newModel(t, capacities[int(capacity)%len(capacities)])
		m.run(int(keys)%4096+1, tape)
	})
}

// TestModel holds the Table against the model at greater length: more steps,
// and from few keys, which are overwritten, to many, which evict each other.
func TestModel(t *testing.T) {
	long(t)
	for _, capacity := range capacities {
		for _, percent := range []int{50, 100, 130, 400} {
			keys := max(1, capacity*percent/100)
			t.Run(fmt.Sprintf("capacity=%d/keys=%d", capacity, keys), func(t *testing.T) {
				t.Parallel()
				const steps = 2000
				r := rand.New(rand.NewPCG(uint64(capacity), uint64(keys)))
				tape := make([]byte, 3*steps)
				for i := range tape {
					tape[i] = byte(r.Uint32())
				}
				m := newModel(t, capacity)
				for i := range min(keys*3/4, capacity+20) {
					m.set(awkward(i), 0, m.now+1+int64(i), i%5/4)
				}
				m.check()
				m.run(keys, tape)
				m.clear()
				m.check()
			})
		}
	}
}
