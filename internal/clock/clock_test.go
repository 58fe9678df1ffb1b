package clock_test

import (
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/clock"
)

// elapse lets d go by on the clock of the synctest bubble.
func elapse(d time.Duration) { <-time.After(d) }

// crowded reads the clock until it stands still, and returns what it says then.
func crowded(t *testing.T, c *clock.Clock) int64 {
	for range 10_000 {
		now := c.Now()
		elapse(time.Nanosecond)
		if c.Now() == now {
			return now
		}
	}
	require.Fail(t, "however often it is read, no reading is used again")
	return 0
}

func TestNowIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		want := int64(1)
		for _, pause := range []time.Duration{0, 0, 1, 1, 0, time.Microsecond, time.Hour, 0, time.Millisecond} {
			elapse(pause)
			want += int64(pause)
			require.Equal(t, want, c.Now())
			require.Equal(t, want, c.Exact())
		}
	})
}

func TestExactClockUsesNoReadingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(true)
		for range 5000 {
			require.Equal(t, c.Exact(), c.Now())
			require.False(t, c.Busy())
			elapse(time.Nanosecond)
		}
	})
}

// At one instant of virtual time, tests may do as much as they like.
func TestVirtualTimeMakesNoCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		for range 10_000 {
			c.Now()
		}
		elapse(time.Nanosecond)
		require.EqualValues(t, 2, c.Now())
	})
}

// A few readings at a time are no crowd, however many they are in all.
func TestAFewAtATimeMakeNoCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		for range 3000 {
			for range 3 {
				require.Equal(t, c.Exact(), c.Now())
				elapse(time.Nanosecond)
			}
			elapse(time.Millisecond)
		}
	})
}

func TestReadingIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		for range 2 {
			kept := crowded(t, c)
			elapse(clock.Precision / 4)
			require.Equal(t, kept, c.Now())
			exact := c.Exact()
			require.Greater(t, exact, kept)
			require.Equal(t, kept, c.Now())
			c.Pass(exact)
			elapse(clock.Precision / 4)
			require.Equal(t, exact, c.Now(), "what has passed for somebody has for all")
			c.Pass(kept)
			require.Equal(t, exact, c.Now())
			require.Greater(t, c.Exact(), exact)

			elapse(clock.Precision)
			require.Equal(t, c.Exact(), c.Now())

			elapse(time.Minute) // nobody asks
		}
	})
}

// A crowd that goes on need not gather anew.
func TestNextReadingIsUsedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		kept := crowded(t, c)
		require.InDelta(t, 1000, kept, 5, "a thousand in a row make a crowd")
		elapse(time.Duration(kept) + clock.Precision - time.Duration(c.Exact()))
		synctest.Wait()
		elapse(time.Nanosecond)
		next := c.Now()
		require.Equal(t, c.Exact(), next)
		elapse(time.Nanosecond)
		require.Equal(t, next, c.Now())
	})
}

// A reading that is about to be kept may be earlier than what has passed meanwhile, and that
// earlier than what has passed before: so none is kept.
func TestPassWhileAReadingIsAboutToBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		elapse(time.Second)
		keep := c.Announce()
		c.Pass(5)
		require.False(t, c.Busy())
		keep()
		require.False(t, c.Busy())
		keep = c.Announce()
		elapse(time.Nanosecond)
		require.Equal(t, c.Exact(), c.Now())
		keep()
		require.Equal(t, c.Exact(), c.Now(), "what Now has said has passed, too")
	})
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(false)
		elapse(time.Minute)
		now := time.Now()
		require.Equal(t, c.Exact(), c.At(now))
		require.True(t, now.Equal(c.Time(c.Exact())))
		require.Equal(t, int64(math.MaxInt64), c.At(now.Add(math.MaxInt64)))
	})
}

// A machine may find out what time it is only after it has begun to serve, or be suspended.
func TestWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{0, 56 * 365 * 24 * time.Hour, time.Hour, -time.Hour} {
		c := clock.New(false)
		c.SetWallClock(by)
		until := time.Now().Add(time.Minute)
		at := c.At(until)
		require.InDelta(t, time.Minute, at, float64(10*time.Second), "set by %s", by)
		require.InDelta(t, at, c.At(until.Round(0)), float64(time.Second), "of a date, set by %s", by)
		require.Zero(t, c.Date(at).Sub(until))
		require.Zero(t, c.Time(at).Sub(until))
		require.WithinDuration(t, until.Round(0), c.Date(at).Round(0), time.Second)
	}
}

func TestNowDoesNotAllocate(t *testing.T) {
	c := clock.New(false)
	require.Zero(t, testing.AllocsPerRun(10_000, func() { c.Now() }))
}

func BenchmarkNow(b *testing.B) {
	c := clock.New(false)
	b.Run("Now", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Now()
			}
		})
	})
	b.Run("Exact", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Exact()
			}
		})
	})
}

func TestNowIsNotBehindWhatHasPassed(t *testing.T) {
	c := clock.New(false)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			late, busy, worst := 0, 0, int64(0)
			const n = 500_000
			for range n {
				if !c.Busy() {
					c.Now()
				} else {
					busy++
				}
				exact := c.Exact()
				c.Pass(exact)
				runtime.Gosched() // others may begin to use a reading again here
				if now := c.Now(); now < exact {
					late++
					worst = max(worst, exact-now)
				}
			}
			if late > 0 {
				t.Errorf("told of an earlier time %d times of %d, by %d ns at most", late, n, worst)
			}
		})
	}
	wg.Wait()
}
