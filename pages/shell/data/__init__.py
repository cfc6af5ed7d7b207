"""From runs to what is drawn: frames, payloads and the numbers of cards. No widgets here."""
