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
	t.Turns(&race, func(i int) (float64, error) { // which does not fail
		return float64(timed(contenders[i], counts[i]).Nanoseconds()) / float64(counts[i]), nil
	})
	return race
}

// Turns has sample measure the rows of race, by their index, by turns: each once in
// every round, but for those that are Missing. It ends with the first error.
//
// Each round begins with the next row, so that none always comes behind the one that
// spoils the processor's caches most.
func (t Track) Turns(race *result.Race, sample func(row int) (float64, error)) error {
	for round := range t.Rounds {
		for j := range race.Rows {
			i := (round + j) % len(race.Rows)
			row := &race.Rows[i]
			if row.Missing != "" {
				continue
			}
			if t.Log != nil {
				t.Log(fmt.Sprintf("%s: round %d of %d: %s", race.Name, round+1, t.Rounds, row.Name))
			}
			x, err := sample(i)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", race.Name, row.Name, err)
			}
			row.Samples = append(row.Samples, x)
		}
	}
	return nil
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
