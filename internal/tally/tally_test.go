package tally_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-affinity/affinity/internal/tally"
)

func TestNothingIsLost(t *testing.T) {
	var c tally.Counter
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for range 1000 {
				c.Add(uint8(g % 3))
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 22_000, c.Sum(0))
	assert.EqualValues(t, 21_000, c.Sum(1))
	assert.EqualValues(t, 21_000, c.Sum(2))
	assert.Zero(t, c.Sum(3))
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var c tally.Counter
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.Add(1) }))
}

func BenchmarkAdd(b *testing.B) {
	var c tally.Counter
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(1)
		}
	})
}
