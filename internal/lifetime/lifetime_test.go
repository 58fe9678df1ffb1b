package lifetime_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-affinity/affinity/internal/lifetime"
)

// replay lets conversations come back to a cache of that life after pauses of
// all lengths. A fifth of the prompt is always there: others use it too.
func replay(e *lifetime.Estimate, life time.Duration, visits int, rng *rand.Rand) {
	for range visits {
		pause := time.Duration(rng.ExpFloat64() * float64(time.Minute))
		if rng.IntN(4) == 0 {
			pause = time.Duration(math.Exp(rng.Float64()*8) * float64(time.Second)) // up to 50 min
		}
		if pause < life {
			e.Observe(pause, 80_000, 10_000)
		} else {
			e.Observe(pause, 18_000, 72_000)
		}
	}
}

func TestLifeIsLearned(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
		for seed := range uint64(10) {
			var e lifetime.Estimate
			replay(&e, life, 1000, rand.New(rand.NewPCG(seed, 1)))
			assert.Equal(t, life, e.Life(), "seed %d", seed)
		}
	}
}

// A pause that is just as long as the life is one after which nothing is left.
func TestEveryBound(t *testing.T) {
	for _, life := range []time.Duration{
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute,
		40 * time.Minute, 80 * time.Minute, 4 * time.Hour, 12 * time.Hour,
	} {
		for _, pause := range []time.Duration{life, life + life/2} {
			var e lifetime.Estimate
			for range 3 {
				e.Observe(time.Second, 80_000, 10_000)
			}
			for range 3 {
				e.Observe(pause, 0, 90_000)
			}
			assert.Equal(t, life, e.Life(), "%v", pause)
		}
	}
}

// What is found without a pause is more one time and less another: half of the mean
// is what must be found after one.
func TestWhatIsFoundVaries(t *testing.T) {
	var e lifetime.Estimate
	for i := range 50 {
		e.Observe(time.Second, 60_000+i%2*20_000, 40_000-i%2*20_000)
	}
	for range 20 {
		e.Observe(6*time.Minute, 40_000, 60_000)
	}
	assert.Equal(t, lifetime.Unlimited, e.Life(), "more than half of 70 percent was there")
	for range 200 {
		e.Observe(6*time.Minute, 30_000, 70_000)
	}
	assert.Equal(t, 5*time.Minute, e.Life(), "less than half")
}

// The mean is over all of them, also of the smallest prompts that tell anything, and of
// those that were found whole.
func TestMeanOfWhatIsFound(t *testing.T) {
	var e lifetime.Estimate
	for range 9 {
		e.Observe(time.Second, 2048, 0)
	}
	e.Observe(time.Second, 200, 1848)
	for range 3 {
		e.Observe(6*time.Minute, 850, 1198)
	}
	assert.Equal(t, 5*time.Minute, e.Life(), "less than half of 91 percent")
}

// What counts is the share of a prompt, however large it is.
func TestSharesOfLargerPrompts(t *testing.T) {
	var e lifetime.Estimate
	for range 3 {
		e.Observe(time.Second, 8000, 1000)
	}
	for range 3 {
		e.Observe(6*time.Minute, 18_000, 72_000)
	}
	assert.Equal(t, 5*time.Minute, e.Life())
}

// Too short a belief costs whole prompts, so little evidence does not make one.
func TestUnlimitedUntilKnown(t *testing.T) {
	var e lifetime.Estimate
	assert.Equal(t, lifetime.Unlimited, e.Life())
	for range 10 {
		e.Observe(6*time.Minute, 0, 90_000)
	}
	assert.Equal(t, lifetime.Unlimited, e.Life(), "nothing to compare with: perhaps this upstream does not cache")
	for range 3 {
		e.Observe(time.Second, 80_000, 10_000)
	}
	for range 2 {
		e.Observe(6*time.Minute, 0, 90_000)
	}
	assert.Equal(t, lifetime.Unlimited, e.Life(), "two misses may be chance")
	e.Observe(6*time.Minute, 0, 90_000)
	assert.Equal(t, 5*time.Minute, e.Life())
}

// A prompt that is gone after two minutes, for whatever reason, does not make
// a cache of five minutes one of two.
func TestOneMissDoesNotShortenLife(t *testing.T) {
	var e lifetime.Estimate
	for range 10 {
		e.Observe(time.Second, 80_000, 10_000)
		e.Observe(7*time.Minute, 0, 90_000)
	}
	e.Observe(3*time.Minute, 0, 90_000)
	assert.Equal(t, 5*time.Minute, e.Life())
}

func TestNoCacheAtAll(t *testing.T) {
	var e lifetime.Estimate
	for pause := time.Second; pause < time.Hour; pause += time.Second {
		e.Observe(pause, 0, 50_000)
	}
	assert.Equal(t, lifetime.Unlimited, e.Life(), "nothing is lost by a pause")
}

func TestWhatTellsNothing(t *testing.T) {
	for _, tokens := range [][2]int{{0, 0}, {0, 2047}, {2047, 0}, {-1, 9000}, {9000, -1}, {math.MaxInt, math.MaxInt}, {math.MaxInt, 1}, {1, math.MaxInt}} {
		var e lifetime.Estimate
		for range 10 {
			e.Observe(time.Second, 80_000, 10_000)
		}
		for range 10 {
			e.Observe(6*time.Minute, tokens[0], tokens[1])
		}
		assert.Equal(t, lifetime.Unlimited, e.Life(), "not that prompts go: %v", tokens)
		for range 3 {
			e.Observe(6*time.Minute, 0, 90_000)
		}
		assert.Equal(t, 5*time.Minute, e.Life(), "nor that they stay: %v", tokens)
	}
	var e lifetime.Estimate
	e.Observe(-time.Hour, 80_000, 0) // a clock that went back: no pause
}

// Some fifty observations outweigh all before them, of whatever kind.
func TestWhatIsOldCountsForLess(t *testing.T) {
	var e lifetime.Estimate
	observe := func(n int, pause time.Duration, cached int) time.Duration {
		for range n {
			e.Observe(pause, cached, 90_000-cached)
		}
		return e.Life()
	}
	observe(1000, time.Second, 80_000)
	assert.Equal(t, 5*time.Minute, observe(1000, 6*time.Minute, 0))
	assert.Equal(t, lifetime.Unlimited, observe(32, 6*time.Minute, 80_000))
	observe(1000, 6*time.Minute, 80_000)
	assert.Equal(t, 5*time.Minute, observe(64, 6*time.Minute, 0))

	e = lifetime.Estimate{}
	observe(1000, time.Second, 80_000)
	observe(100, time.Second, 20_000)
	assert.Equal(t, lifetime.Unlimited, observe(10, 6*time.Minute, 20_000), "as much as there is without a pause")
}

// What speaks for a bound are all longer pauses, less those after which prompts are found.
func TestTheBestBound(t *testing.T) {
	var e lifetime.Estimate
	for range 30 {
		e.Observe(time.Second, 80_000, 10_000)
		e.Observe(6*time.Minute, 0, 90_000)
	}
	for range 5 {
		e.Observe(3*time.Minute, 80_000, 10_000)
	}
	for range 4 {
		e.Observe(90*time.Second, 0, 90_000)
	}
	assert.Equal(t, 5*time.Minute, e.Life())
}

// One prompt that was found outweighs four that were gone, after that pause or a longer one, and
// three more make a belief.
func TestWhatWasFoundWeighsMore(t *testing.T) {
	for _, pause := range []time.Duration{6 * time.Minute, 15 * time.Minute} {
		var e lifetime.Estimate
		for range 3 {
			e.Observe(time.Second, 80_000, 10_000)
		}
		e.Observe(pause, 80_000, 10_000)
		for range 6 {
			e.Observe(6*time.Minute, 0, 90_000)
		}
		assert.Equal(t, lifetime.Unlimited, e.Life(), "%v", pause)
		e.Observe(6*time.Minute, 0, 90_000)
		assert.Equal(t, 5*time.Minute, e.Life(), "%v", pause)
	}
}

func TestConcurrentUse(t *testing.T) {
	var e lifetime.Estimate
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			replay(&e, 5*time.Minute, 500, rand.New(rand.NewPCG(uint64(g), 9)))
			e.Life()
		})
	}
	wg.Wait()
	assert.Equal(t, 5*time.Minute, e.Life())
}
