package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What makes conversations shorter is called by many words.
func TestSummariesInAnyWords(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Creating", "Create", "Producing", "Produce", "Generating", "Generate", "Write"} {
		require.Equal(t, extract.Compaction, says(verb+" a summary of the conversation so far", "x").Class(), verb)
		require.Equal(t, extract.Turn, says(verb+" a haiku from the summary of the conversation so far", "x").Class(), verb)
	}
}

// Frameworks show a conversation with a model in the text that wants it summarized.
func TestSummariesOfWhatIsShown(t *testing.T) {
	t.Parallel()
	const talk = `\n\nuser: Where is Oslo?\nassistant: In Norway.`
	for person, want := range map[string]extract.Class{
		`Summarize the following conversation. Be concise but include all key information.\n\nPrevious messages:` + talk + `\n\nSummary:`: extract.Compaction,
		`Provide a detailed summary of the following conversation for continuing in a new session.` + talk:                                extract.Compaction,
		`Your task is to condense the conversation history below.\n\n[USER]: hi\n[ASSISTANT]: Hello.`:                                     extract.Compaction,
		`Summarize the following conversation, with the context.\n\nAnna: Where is Oslo?\nBob: In Norway.`:                                extract.Turn,
		`Summarize the following conversation so far, please.`:                                                                            extract.Turn,
		`How do I summarize the conversation so far?` + talk:                                                                              extract.Turn,
		`Translate the following conversation, and keep the context.` + talk:                                                              extract.Turn,
		`Summarize the conversation of a customer with our hotline, with its history.` + talk:                                             extract.Turn,
	} {
		require.Equal(t, want, says("", person).Class(), person)
		body := string(says("", person).Body)
		require.Equal(t, extract.Turn, classOf(withTools(body)), person)
		later := strings.Replace(body, "[", "["+u("hi")+","+a("Hello.")+",", 1)
		require.Equal(t, extract.Turn, classOf(later), "in mid-conversation: %s", person)
	}
}
