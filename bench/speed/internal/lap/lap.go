// Package lap measures several ways to do a thing by turns, a short slice of
// time each, so that whatever else the machine is doing hits all of them alike.
package lap

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// A Contender is one way to do the thing that is measured.
type Contender struct {
	Name string

	// Do does it n times, and panics if it does something else.
	Do func(n int)

	// Before, if not nil, is called before each slice, off the clock.
	Before func()

	// Warm lets each slice begin with half as much off the clock, so that it
	// finds the caches as it would if there were nobody else.
	Warm bool

	// Size is how many bytes one operation reads, if that is how speed is told.
	Size int

	// Max is how often it can be done in one slice; 0 is no limit.
	Max int

	// Missing says why it cannot be measured here. Then Do is not called.
	Missing string
}

// A Track says how long to measure.
type Track struct {
	Slice  time.Duration // of one contender in one round
	Rounds int
	Log    func(line string) // shows progress; nil for none
}

// Race measures the contenders and what they allocate. The samples are nanoseconds
// an operation, one for each round. A contender that is Missing has none.
//
// Each round begins with the next contender, so that none always comes behind the
// one that spoils the processor's caches most.
func (t Track) Race(name string, contenders ...Contender) result.Race {
	race := result.Race{Name: name, Unit: "ns", Rows: make([]result.Row, len(contenders))}
	counts := make([]int, len(contenders))
	for i, c := range contenders {
		race.Rows[i] = result.Row{Name: c.Name, Size: c.Size, Missing: c.Missing}
		if c.Missing == "" {
			counts[i] = t.calibrate(c)
			race.Rows[i].Allocs = count(c, min(counts[i], 1000))
		}
	}
	for round := range t.Rounds {
		if t.Log != nil {
			t.Log(fmt.Sprintf("%s: round %d of %d", name, round+1, t.Rounds))
		}
		for j := range contenders {
			i := (round + j) % len(contenders)
			if c := contenders[i]; c.Missing == "" {
				took := timed(c, counts[i])
				race.Rows[i].Samples = append(race.Rows[i].Samples, float64(took.Nanoseconds())/float64(counts[i]))
			}
		}
	}
	return race
}

// calibrate returns how often the contender does it in one slice. A run that
// seems long enough is repeated and the faster one counts, since the first one
// may have been disturbed.
func (t Track) calibrate(c Contender) int {
	most := cmp.Or(c.Max, math.MaxInt)
	for n := 1; ; n = min(4*n, most) {
		took := timed(c, n)
		if took >= t.Slice/4 {
			took = min(took, timed(c, n))
		}
		if took >= t.Slice/4 || n == most {
			return min(max(1, int(float64(n)*float64(t.Slice)/float64(max(took, 1)))), most)
		}
	}
}

// timed returns how long the contender takes to do it n times.
func timed(c Contender, n int) time.Duration {
	if c.Before != nil {
		c.Before()
	}
	if c.Warm {
		c.Do((n + 1) / 2)
	}
	start := time.Now()
	c.Do(n)
	return time.Since(start)
}

// count returns what one operation allocates on average over n, in the best of
// three runs: other goroutines may allocate meanwhile.
func count(c Contender, n int) *result.Allocs {
	var least *result.Allocs
	for range 3 {
		if c.Before != nil {
			c.Before()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.Do(n)
		runtime.ReadMemStats(&after)
		a := &result.Allocs{
			Objects: float64(after.Mallocs-before.Mallocs) / float64(n),
			Bytes:   float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
		}
		if least == nil || a.Objects < least.Objects {
			least = a
		}
	}
	return least
}

// Threads returns a Do that shares its work among so many goroutines, and is done
// when all are. do gets the number of its goroutine, from 0, and its share.
func Threads(threads int, do func(thread, n int)) func(n int) {
	return func(n int) {
		var wg sync.WaitGroup
		for thread := range threads {
			wg.Go(func() { do(thread, (n+thread)/threads) })
		}
		wg.Wait()
	}
}
