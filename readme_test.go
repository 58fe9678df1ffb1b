package affinity_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code in the README is that of an example, which is compiled and run.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	squeeze := func(b string) string { return strings.Join(strings.Fields(b), " ") }
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 3)
	for _, b := range blocks {
		require.Contains(t, squeeze(string(example)), squeeze(b[1]))
	}
}

// What the README points at is there: files, and examples.
func TestReadmePointsAtWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(text)
	_, err = os.Stat("bench")
	noBench := os.IsNotExist(err) // as for those who import this module: bench is one of its own
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(readme, -1) {
		if strings.Contains(link[1], "://") || noBench && strings.HasPrefix(link[1]+"/", "bench/") {
			continue
		}
		_, err := os.Stat(link[1])
		require.NoError(t, err)
	}
	var examples string
	for _, dir := range []string{".", "balance"} {
		text, err := os.ReadFile(dir + "/example_test.go")
		require.NoError(t, err)
		examples += string(text)
	}
	names := regexp.MustCompile("`(Example\\w*)`").FindAllStringSubmatch(readme, -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.True(t, strings.Contains(examples, "func "+name[1]+"() {"), name[1])
	}
}
