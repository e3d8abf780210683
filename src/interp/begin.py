

# --- the last of these files: from here on everything is watched ---------------------------
#
# Before the import of `site`, if that is imported: what a .pth file or sitecustomize reads, prints or does, every run
# does.

begin_trace()
watch_streams()
watch_arguments()
watch_functions()
