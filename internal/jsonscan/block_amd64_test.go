//go:build !purego

package jsonscan

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWithoutAVX2 tests what processors do that have no AVX2: the functions in Go.
func TestWithoutAVX2(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	if !avx2 {
		t.Skip("this processor has no AVX2, so all other tests have tested that")
	}
	avx2 = false
	defer func() { avx2 = true }()
	t.Run("PastEscaped", TestPastEscaped)
	t.Run("PastEscapedGoesOn", TestPastEscapedGoesOn)
	t.Run("Structure", TestStructure)
	t.Run("LongEscape", TestLongEscape)
	t.Run("AppendPlainOfAnything", TestAppendPlainOfAnything)
	t.Run("OddLetters", TestOddLetters)
	t.Run("LineBreak", TestLineBreak)
	t.Run("QuoteBefore", TestQuoteBefore)
}

// TestAllGoOnWithoutAVX2 checks what no result tells on a processor that has AVX2: that each
// function first asks for it, and goes on to its like in Go.
func TestAllGoOnWithoutAVX2(t *testing.T) {
	source, err := os.ReadFile("block_amd64.s")
	require.NoError(t, err)
	functions := regexp.MustCompile(`(?m)^TEXT ·(\w+).*\n(.*)`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, functions, strings.Count(string(source), "TEXT "))
	for _, f := range functions {
		if name := f[1]; name != "hasAVX2" {
			require.Equal(t, "GO_WITHOUT_AVX2(·"+name+"ByWords)", strings.TrimSpace(f[2]))
		}
	}
}

// TestHasAVX2 compares hasAVX2 with what Linux says.
func TestHasAVX2(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	require.Equal(t, regexp.MustCompile(`(?m)^flags\s*:.*\bavx2\b`).Match(info), hasAVX2())
}
