package extract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A model that makes conversations shorter has many names, and so has what it does.
func TestSummariesInAnyWords(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"conversation", "context", "conversation history"} {
		for _, who := range []string{"summarizer", "compressor", "compactor"} {
			require.Equal(t, extract.Compaction, says("You are a "+what+" "+who+". Keep to the context.", "x").Class(), what+who)
		}
	}
	for _, verb := range []string{"Creating", "Create", "Producing", "Produce", "Generating", "Generate", "Write"} {
		require.Equal(t, extract.Compaction, says(verb+" a summary of the conversation so far", "x").Class(), verb)
		require.Equal(t, extract.Turn, says(verb+" a haiku from the summary of the conversation so far", "x").Class(), verb)
	}
}
