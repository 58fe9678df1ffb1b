package extract_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What clients wrap in these elements is nobody's words.
func TestInjectedElements(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{
		"system-reminder", "system_reminder", "environment_context", "user_instructions",
		"session_context", "environment_details", "environment_info", "workspace_info",
	} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			injected := "<" + tag + ">x</" + tag + ">"
			first := trailOf(t, chat(u(injected+"\nhi")))
			require.Equal(t, same, relation(trailOf(t, chat(u("hi "+injected))), first), "behind the words")
			require.Equal(t, same, relation(trailOf(t, chat(u("hi"), u(injected))), first), "in a message of its own")
			require.Equal(t, continues, relation(trailOf(t, chat(u("hi"), a("x"), u("on"))), first), "gone")
			require.Equal(t, apart, relation(trailOf(t, chat(u("<"+tag+">y</"+tag+">hi"))), first), "another one in a first request")
			later := trailOf(t, chat(u("hi"), a("x"), u("on")))
			require.Equal(t, same, relation(trailOf(t, chat(u("hi"), a("x"), u(injected+injected+"on"+injected))), later), "later")

			// A tag that is opened and not closed is what somebody wrote.
			open := "<" + tag + "> what is that? "
			asked := trailOf(t, chat(u("hi"), a("x"), u(open+"one")))
			require.Equal(t, apart, relation(trailOf(t, chat(u("hi"), a("x"), u(open+"two"))), asked), "not closed")
			require.Equal(t, apart, relation(trailOf(t, chat(u("hi"), a("x"), u("what is that? one"))), asked), "not there")
			require.Equal(t, continues, relation(asked, trailOf(t, chat(u("hi")))))
		})
	}
	for _, text := range []string{"<b>x</b>", "<system-reminders>x</system-reminders>", "< system-reminder>x</system-reminder >", "<SYSTEM-REMINDER>x</SYSTEM-REMINDER>", "&lt;system-reminder>x"} {
		require.Equal(t, apart, relation(trailOf(t, chat(u("hi"), a("x"), u(text+"on"))), trailOf(t, chat(u("hi"), a("x"), u("on")))), text)
	}
}

// Nor is what Aider and Cody write of files, or others of what they know, in a message of its own.
func TestInjectedMessages(t *testing.T) {
	t.Parallel()
	for _, opening := range []string{
		"I have *added these files to the chat*", "I am not sharing any files that you can edit yet.",
		"I am not sharing the full contents of any files with you yet.",
		"I am working with you on code in a git repository.\nHere are summaries of some files",
		"Here are summaries of some files present in my git repo", "Here are some READ ONLY files, provided for your reference.",
		"Don't try and edit any existing code without asking me to add the files to the chat!",
		"These files have been *added these files to the chat*",
		`This is my codebase. <dyad-file path="src/a.tsx">x</dyad-file>`,
		"Codebase context from file src/a.go in repository b:\n```go:src/a.go\nx```",
		"OpenClaw runtime context:\n", "OpenClaw runtime context for the immediately preceding user message.\n", "OpenClaw runtime context for the active user request in this turn.",
		"OpenClaw runtime event.\n",
		"[Related Knowledge Base Results]:\n",
		"## Relevant Memories\nConsider these memories when responding:", "## Memory\nUse MEMORY.md and the loaded topic files when they are relevant.",
	} {
		later := trailOf(t, chat(u("hi"), a("x"), u("on")))
		require.Equal(t, same, relation(trailOf(t, chat(u("hi"), a("x"), u(opening+" and so on"), a("Ok."), u("on"))), later), opening)
		require.Equal(t, apart, relation(trailOf(t, chat(u("hi"), a("x"), u("? "+opening), a("Ok."), u("on"))), later), opening)
	}
}
