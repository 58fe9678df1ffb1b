package lap

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// takes returns a Do that takes d for each.
func takes(d time.Duration) func(int) {
	return func(n int) { <-time.After(time.Duration(n) * d) }
}

func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := 0
		track := Track{Slice: time.Millisecond, Rounds: 5, Log: func(string) { lines++ }}
		start := time.Now()
		often := 0
		race := track.Race("r",
			Contender{Name: "quick", Size: 7, Do: func(n int) {
				often = n
				takes(time.Microsecond)(n)
			}},
			Contender{Name: "slow", Do: takes(300 * time.Microsecond)},
			Contender{Name: "slower than a slice", Do: takes(time.Second)},
			Contender{Name: "absent", Missing: "why"},
		)
		require.Equal(t, 1000, often, "as often as fits into a slice")
		require.Equal(t, "r", race.Name)
		require.Equal(t, "ns", race.Unit)
		require.Len(t, race.Rows, 4)
		for i, want := range []float64{1e3, 3e5, 1e9} {
			require.Equal(t, []float64{want, want, want, want, want}, race.Rows[i].Samples)
			require.NotNil(t, race.Rows[i].Allocs)
		}
		require.Equal(t, 7, race.Rows[0].Size)
		require.Empty(t, race.Rows[3].Samples)
		require.Nil(t, race.Rows[3].Allocs)
		require.Equal(t, "why", race.Rows[3].Missing)
		require.Equal(t, 15, lines)
		require.Less(t, time.Since(start), 11*time.Second, "twice to calibrate, three times to count, five rounds")
	})
}

// How often one fits into a slice is found out from runs that are long enough to tell, and of
// which the first may have been disturbed.
func TestCalibration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disturbed, often := false, 0
		Track{Slice: time.Millisecond, Rounds: 1}.Race("", Contender{Do: func(n int) {
			often = n
			<-time.After(10*time.Microsecond + time.Duration(n)*time.Microsecond)
			if n > 200 && !disturbed {
				disturbed = true
				<-time.After(time.Second)
			}
		}})
		require.Equal(t, 256*1000/(10+256), often)
	})
}

// Nobody is always first.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		contender := func(name string) Contender {
			return Contender{Name: name, Max: 1, Do: func(n int) {
				require.Equal(t, 1, n)
				order = append(order, name)
				<-time.After(time.Millisecond)
			}}
		}
		Track{Slice: time.Millisecond, Rounds: 3}.Race("", contender("a"), contender("b"), contender("c"))
		require.Equal(t, "abcbcacab", strings.Join(order[len(order)-9:], ""))
	})
}

// What fails ends it, with the samples that there were.
func TestTurnsFail(t *testing.T) {
	race := result.Race{Name: "race", Rows: []result.Row{{Name: "a"}, {Name: "b"}}}
	err := Track{Rounds: 3}.Turns(&race, func(row int) (float64, error) {
		if row == 1 && len(race.Rows[1].Samples) == 1 {
			return 0, io.ErrUnexpectedEOF
		}
		return 7, nil
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "race: b")
	require.Equal(t, []float64{7}, race.Rows[0].Samples)
}

func TestBeforeAndWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prepared, done := 0, 0
		var warm int
		race := Track{Slice: 100 * time.Millisecond, Rounds: 4}.Race("", Contender{
			Max: 10, Warm: true,
			Before: func() {
				prepared++
				warm = -1
				<-time.After(time.Hour) // off the clock
			},
			Do: func(n int) {
				done++
				require.LessOrEqual(t, n, 10)
				if warm < 0 {
					warm = n
					<-time.After(time.Hour)
					return
				}
				require.Equal(t, (n+1)/2, warm)
				<-time.After(time.Duration(n) * time.Millisecond)
			},
		})
		require.Equal(t, []float64{1e6, 1e6, 1e6, 1e6}, race.Rows[0].Samples)
		require.GreaterOrEqual(t, prepared, 4)
		const counts = 3 // of what it allocates, for which nothing is warmed up
		require.Equal(t, 2*prepared-counts, done)
	})
}

var kept []*[100]byte

func TestAllocs(t *testing.T) {
	race := Track{Slice: time.Millisecond, Rounds: 1}.Race("",
		Contender{Max: 1000, Do: func(n int) {
			kept = kept[:0]
			for range n {
				kept = append(kept, new([100]byte))
			}
		}},
		Contender{Max: 1000, Do: func(n int) {}},
	)
	a := race.Rows[0].Allocs
	require.InDelta(t, 1, a.Objects, 0.1)
	require.InDelta(t, 112, a.Bytes, 30)
	require.Less(t, race.Rows[1].Allocs.Objects, 0.1)

	// The least of three counts is what it needs itself.
	for undisturbed := range 3 {
		run := 0
		race := Track{Slice: time.Millisecond, Rounds: 1}.Race("", Contender{Max: 10, Do: func(n int) {
			kept = kept[:0]
			if run++; run%3 != undisturbed {
				for range 100 * n {
					kept = append(kept, new([100]byte))
				}
			}
		}})
		require.Less(t, race.Rows[0].Allocs.Objects, 10.0)
	}
}

func TestThreads(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		for _, n := range []int{0, 1, 2, 100, 101} {
			var all, seen atomic.Int64
			Threads(threads, func(thread, n int) {
				all.Add(int64(n))
				seen.Add(1 << thread)
			})(n)
			require.EqualValues(t, n, all.Load())
			require.EqualValues(t, 1<<threads-1, seen.Load())
		}
	}
}
