package extract

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// match relies on both, and finds each to the letter.
func TestOpeningsAreSortedAndApart(t *testing.T) {
	t.Parallel()
	for _, openings := range [][]opening{systemOpenings, personOpenings} {
		require.True(t, slices.IsSortedFunc(openings, func(a, b opening) int { return strings.Compare(a.text, b.text) }))
		for i, o := range openings {
			require.LessOrEqual(t, len(o.text), maxOpened, o.text)
			if i > 0 {
				require.False(t, strings.HasPrefix(o.text, openings[i-1].text), o.text)
			}
			for _, behind := range []string{"", " and", "\U0010ffff"} {
				require.Equal(t, o.class, match(openings, []byte(strings.ReplaceAll(o.text+behind, "\n", `\n`))), o.text)
			}
			require.Equal(t, Turn, match(openings, []byte(strings.ReplaceAll(o.text[:len(o.text)-1], "\n", `\n`))), o.text)
		}
	}
}

// Each opening is known where its client has it, in the middle of a conversation with tools,
// to which no other rule applies, and with white space in front; and not in the other place.
func TestSideCallsOfClients(t *testing.T) {
	t.Parallel()
	class := func(system, person string) Class {
		text := func(s string) string {
			b, err := json.Marshal(s)
			require.NoError(t, err)
			return string(b)
		}
		return (&Request{Body: fmt.Appendf(nil, `{"system":%s,"tools":[{"name":"a"}],"messages":[
			{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":%s}]}`, text(system), text(person))}).Class()
	}
	for _, o := range systemOpenings {
		require.Equal(t, o.class, class("\n  "+o.text+" and so on", "x"), o.text)
		require.NotEqual(t, o.class, class("be kind", o.text+" and so on"), o.text)
	}
	for _, o := range personOpenings {
		require.Equal(t, o.class, class("be kind", "\n  "+o.text+" and so on"), o.text)
		require.NotEqual(t, o.class, class(o.text+" and so on", "x"), o.text)
	}
}

// Words that are like an opening, but not to its end, are those of anybody.
func TestTurnsLikeSideCalls(t *testing.T) {
	t.Parallel()
	for system, person := range map[string]string{
		"You are a diagnostic agent that determines whether a patient needs urgent care.":  "x",
		"Your task is to create a comprehensive, detailed summary of the entire document.": "x",
		"You are an expert coding assistant. Answer briefly.":                              "Generate a title for my talk",
		"You are a helpful assistant that generates SQL.":                                  "Summarize the discussion below",
		"You are a title generator for videos.":                                            "### Task:\nSuggest 3-5 relevant follow-up appointments",
		"You are an AI namer that creates a name for a startup.":                           "### Task:\nGenerate 1-3 broad tags for this post",
		"You are an expert in crafting pithy titles for newspapers.":                       "Generate a title for this conversation that two farmers have in my novel",
		"You are Title Generator, an expert assistant for novels.":                         "Generate a detailed summary of this conversation. Include: prices",
		"You are a specialized Task Routing AI for our warehouse.":                         "Summarize in a 10-word title what follows",
		"You are a fact deduplication assistant for newsrooms":                             "x",
		"You are an entity deduplication assistant for our CRM":                            "x",
		"You extract temporal bounds from facts in contracts":                              "x",
		"You will generate a short title for each poem.":                                   "Create a summary of the conversation above in Spanish",
		"You are a helpful assistant that generates concise, descriptive titles for shops": "Provide a detailed summary of our conversation above, to print it",
	} {
		body := fmt.Sprintf(`{"system":%q,"messages":[{"role":"user","content":%q}]}`, system, person)
		require.Equal(t, Turn, (&Request{Body: []byte(body)}).Class(), body)
	}
	for _, person := range []string{
		"Create a summary of the conversation above", "Create a summary of the conversation above in Spanish.",
		"Generate a title for this conversation", "Generate a title for this conversation, please",
		"Summarize the discussion briefly in 200 words", "Web page content: a bike shop. Write me a better one.",
		"Update the existing summary by incorporating the new messages below.", "Help summarize the conversation up to the cutoff point, please.",
		"Generate 3-5 concise git branch name suggestions based on this ticket", "You are an AI coding assistant. You should generate a commit message only if I ask for it.",
	} {
		body := fmt.Sprintf(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":%q}]}`, person)
		require.Equal(t, Turn, (&Request{Body: []byte(body)}).Class(), body)
	}
}

func TestStems(t *testing.T) {
	t.Parallel()
	s := stemsOf("title", "re-writ", "select the ")
	for _, text := range []string{"title", "A Title.", "(titles)", `one\ntitle`, `\\title`, "rewrite, re-write", "to SELECT THE best", "9title", "é title"} {
		require.True(t, s.in([]byte(text)), text)
	}
	for _, text := range []string{"", "subtitle", "titl", `\title`, "select then", "select the", "re writ"} {
		require.False(t, s.in([]byte(text)), text)
	}
}
