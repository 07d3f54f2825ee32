"""Writes dates.bin, 10 000 records of 40 bytes: a date as people write it, padded with blanks to 30, and as 2009-04-05."""
import datetime
import random

random.seed(1)
first = datetime.date(1970, 1, 1).toordinal()
forms = ["%-d %B %Y", "%-d %b %y", "%B %-d, %Y", "%A %-d %B %Y", "%a, %b %-d %Y", "%-d.%-m.%Y", "%Y/%m/%d", "%d %b, %Y", "%b %-d '%y"]
with open("dates.bin", "wb") as file:
    for _ in range(10000):
        day = datetime.date.fromordinal(first + random.randrange(365 * 55))
        text = day.strftime(random.choice(forms))
        text = random.choice([text, text.lower(), text.upper()])
        file.write(f"{text:30}{day.isoformat()}".encode("ascii"))
