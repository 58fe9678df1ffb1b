package registry_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/registry"
)

func TestTargetLivesAsLongAsItsBindings(t *testing.T) {
	g := registry.New(100)
	a := g.Acquire("a")
	require.Same(t, a, g.Acquire("a"))
	require.NotEqual(t, a.Ref, g.Acquire("b").Ref)
	require.Same(t, a, g.Get(a.Ref))
	require.True(t, g.Alive(a.Ref))

	g.Release(a.Ref)
	require.Same(t, a, g.Get(a.Ref), "it has a binding yet")
	g.Release(a.Ref)
	require.Nil(t, g.Get(a.Ref))
	require.False(t, g.Alive(a.Ref))
	require.False(t, g.Dying())

	again := g.Acquire("a")
	require.NotSame(t, a, again)
	require.Same(t, a.Traits, again.Traits, "what is known of it is not forgotten")
}

func TestKill(t *testing.T) {
	g := registry.New(100)
	g.Kill("a")
	a := g.Acquire("a")
	g.Kill("a")
	require.True(t, a.Dead())
	require.False(t, g.Alive(a.Ref))
	require.True(t, g.Dying())
	b := g.Acquire("a")
	require.NotSame(t, a, b)
	require.False(t, b.Dead())
	require.Same(t, a.Traits, b.Traits)
	g.Release(a.Ref)
	require.Nil(t, g.Get(a.Ref))
	require.False(t, g.Dying())
	require.True(t, g.Alive(b.Ref))
}

// A name may be a part of a long text, such as a configuration that came and went.
func TestRememberedNamesKeepNoTextInMemory(t *testing.T) {
	g := registry.New(1000)
	var texts []weak.Pointer[[4096]byte]
	for i := range 1000 {
		text := new([4096]byte)
		n := copy(text[:], fmt.Sprint("target-", i))
		texts = append(texts, weak.Make(text))
		g.Release(g.Acquire(unsafe.String(&text[0], n)).Ref)
	}
	runtime.GC()
	require.Equal(t, 1000, g.Remembered())
	kept := 0
	for _, text := range texts {
		if text.Value() != nil {
			kept++
		}
	}
	require.LessOrEqual(t, kept, 100) // targets that were acquired lately
	runtime.KeepAlive(g)
}

// What was found can be bound to as long as it is what it was: not once it is invalidated, nor
// once it has gone.
func TestRetain(t *testing.T) {
	g := registry.New(100)
	a := g.Acquire("a")
	require.True(t, g.Retain(a))
	g.Release(a.Ref)
	require.Same(t, a, g.Get(a.Ref), "it has a binding yet")
	g.Kill("a")
	require.False(t, g.Retain(a))
	require.Same(t, a, g.Get(a.Ref), "that of before")
	g.Release(a.Ref)
	require.Nil(t, g.Get(a.Ref))
	require.False(t, g.Retain(a))
	require.False(t, g.Dying())
}

// A call of Release that has given up the last binding, and then has to wait, leaves the target
// alone if that has got another binding meanwhile, or was retired by another call.
func TestReleaseThatComesLate(t *testing.T) {
	for _, retired := range []bool{false, true} {
		g := registry.New(100)
		a := g.Acquire("a")
		var late sync.WaitGroup
		release := func() {
			late.Go(func() { g.Release(a.Ref) })
			for a.Uses().Load() > 0 {
				runtime.Gosched()
			}
		}
		g.Locked(func() {
			release()
			a.Uses().Add(1) // as Acquire does
			if retired {
				release()
			}
		})
		late.Wait()
		require.Equal(t, !retired, g.Alive(a.Ref))
		require.False(t, g.Dying())
		require.NotEqual(t, g.Acquire("b").Ref, g.Acquire("c").Ref)
	}
}

func TestGetOfNoNumber(t *testing.T) {
	g := registry.New(100)
	require.Nil(t, g.Get(0))
	g.Acquire("a")
	require.Nil(t, g.Get(99))
	require.False(t, g.Alive(1<<31))
}

func TestNumbersAreUsedAgain(t *testing.T) {
	g := registry.New(1)
	for i := range 5000 {
		a := g.Acquire(fmt.Sprint(i))
		require.Zero(t, a.Ref)
		g.Release(a.Ref)
	}
	a, b := g.Acquire("a"), g.Acquire("b")
	require.Nil(t, g.Acquire("c"))
	require.Same(t, a, g.Acquire("a"))
	g.Release(b.Ref)
	require.Equal(t, b.Ref, g.Acquire("c").Ref)
}

func TestDrain(t *testing.T) {
	g := registry.New(100)
	require.False(t, g.AnyDraining())
	g.Drain("a", 50)
	require.True(t, g.AnyDraining())
	require.True(t, g.Draining("a"))
	require.False(t, g.Draining("b"))
	a, b := g.Acquire("a"), g.Acquire("b")
	require.False(t, g.Draining(b.Name), "known is not drained")
	require.Equal(t, map[string]int64{"a": 50}, g.Drained())
	require.False(t, a.Traits.DrainDue(49))
	require.True(t, a.Traits.DrainDue(50))
	g.Drain("a", 70)
	require.True(t, g.Draining("a"))
	require.False(t, a.Traits.DrainDue(50))
	g.Drain("a", 0)
	require.False(t, g.AnyDraining())
	require.False(t, g.Draining("a"))
	require.False(t, a.Traits.DrainDue(100))
	g.Drain("a", 0)
	require.False(t, g.AnyDraining())
}

// What is known of targets that come and go is bounded. What is drained is kept,
// and what has bindings, even if that is half of all; and all, as long as there are not
// too many.
func TestTraitsAreBounded(t *testing.T) {
	g := registry.New(1 << 20)
	g.Drain("drained", 1)
	var kept, left []*registry.Target
	for i := range 8000 {
		kept = append(kept, g.Acquire(fmt.Sprint("kept", i)))
		require.Equal(t, fmt.Sprint("kept", i), kept[i].Name)
	}
	for i := range 1000 {
		left = append(left, g.Acquire(fmt.Sprint("left", i)))
		g.Release(left[i].Ref)
	}
	for _, l := range left {
		again := g.Acquire(l.Name)
		require.Same(t, l.Traits, again.Traits)
		g.Release(again.Ref)
	}
	for i := range 40_000 {
		g.Release(g.Acquire(fmt.Sprint(i)).Ref)
	}
	require.Less(t, g.Remembered(), 17_000)
	require.Greater(t, g.Remembered(), 16_000, "a few make room, not all that might")
	require.True(t, g.Draining("drained"))
	for _, k := range kept {
		require.Same(t, k, g.Acquire(k.Name))
		require.Same(t, k, g.Get(k.Ref))
		g.Drain(k.Name, 1)
		require.True(t, k.Traits.DrainDue(1), "it is drained like any other")
	}
}

func TestYield(t *testing.T) {
	var x registry.Traits
	const second = 1_000_000_000
	require.True(t, x.MayYield(5))
	require.True(t, x.Yield(5))
	require.False(t, x.MayYield(5+29*second))
	require.False(t, x.Yield(5+29*second))
	require.True(t, x.MayYield(5+30*second))
	require.True(t, x.Yield(5+30*second))
	require.False(t, x.MayYield(5+59*second))
	require.False(t, x.Yield(5+59*second))
}

// Sessions come back over as long as the target was away, one by one.
func TestPresence(t *testing.T) {
	const second = int64(1_000_000_000)
	var p registry.Presence
	require.True(t, p.MayReturn(0, 0.99), "it was never away")
	p.Missing(100 * second)
	require.True(t, p.Away())
	p.Present(101 * second)
	require.False(t, p.Away())
	require.True(t, p.MayReturn(101*second, 0.99), "one call says nothing of the target")

	p.Missing(200 * second)
	p.Missing(210 * second)
	require.EqualValues(t, 210*second, p.LastMissed())
	p.Inherits(220 * second)
	require.EqualValues(t, 220*second, p.LastMissed())
	p.Present(300 * second)
	require.True(t, p.MayReturn(300*second, 0))
	require.False(t, p.MayReturn(349*second, 0.5))
	p.Present(340 * second)
	require.True(t, p.MayReturn(350*second, 0.5), "it was not away again")

	p.Missing(1000 * second)
	p.Missing(1001 * second)
	p.Present(9000 * second)
	require.False(t, p.MayReturn(9299*second, 1))
	require.True(t, p.MayReturn(9300*second, 1), "five minutes at most")

	p.Missing(9310 * second)
	p.Present(9400 * second)
	require.True(t, p.MayReturn(9400*second, 1), "one call says nothing, whatever was before")
}

// Who goes away again while its sessions come back takes no less time for that, and more
// if it was away for longer.
func TestPresenceGoesAgain(t *testing.T) {
	const second = int64(1_000_000_000)
	var p registry.Presence
	outage := func(from, to int64) {
		p.Missing(from * second)
		p.Missing(from * second)
		p.Present(to * second)
	}
	outage(1000, 1200)
	outage(1210, 1220)
	require.False(t, p.MayReturn(1299*second, 0.5))
	require.True(t, p.MayReturn(1300*second, 0.5))
	outage(1310, 1400)
	require.False(t, p.MayReturn(1444*second, 0.5))
	require.True(t, p.MayReturn(1445*second, 0.5))
}

// Whatever happens at once, a number is of one target as long as it is held.
func TestParallel(t *testing.T) {
	g := registry.New(50)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 3000 {
				name := fmt.Sprint((w + i) % 12)
				if i%2 == 0 {
					name = "of all" // so that one often goes just as it is wanted again
				}
				a := g.Acquire(name)
				if a == nil {
					continue
				}
				if i%50 == 0 {
					g.Kill(name)
				}
				if got := g.Get(a.Ref); got != a || a.Name != name {
					t.Errorf("%q has the number of another", name)
				}
				g.Release(a.Ref)
			}
		})
	}
	wg.Wait()
	require.False(t, g.Dying())
	for ref := range uint32(51) {
		require.Nil(t, g.Get(ref))
	}
}
