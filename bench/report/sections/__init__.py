"""What a report's parts show: one file each, data in, words and marks out. The templates lay them out."""
